"""Settings of every kind of build; the command line is made from them."""

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from tessera.runtime.config import Config

ObjectForm = Literal["detection", "everything", "grounding", "naming", "counting"]
TextForm = Literal["transcription", "spotting", "reading", "locating"]


class BuildSettings(Config):
    """What all kinds share."""

    annotations: Path
    """The annotation file or folder; may also stand right behind the kind."""
    out: Path
    """Folder to write: train.jsonl, val.jsonl, meta.json, meta_val.json, rejects.jsonl, counts.json."""
    root: Path | None = None
    """Folder that picture names start from; by default the folder of the annotations."""
    name: str | None = None
    """Name of the dataset in the meta file; by default the kind."""
    language: Literal["en", "zh", "both"] = "en"
    """Wording in English, Chinese, or one of them for each record."""
    templates: Path | None = None
    """Folder with template files of your own; sections that they lack stay as shipped."""
    names: Path | None = None
    """Other names for classes: a JSON object, or lines of 'class name'."""
    val: float = Field(default=0.0, ge=0, lt=1)
    """Share of pictures for val.jsonl, drawn by a hash of seed and picture."""
    seed: int = 0
    """Another seed gives another split, wording and choice of questions."""
    turns: int = Field(default=4, ge=1)
    """Most questions in one record."""
    copy_pictures: bool = False
    """Copy pictures below --out; otherwise they are referenced where they are."""
    overwrite: bool = False
    """Replace files of an earlier build in --out."""
    max_faults: float = Field(default=0.1, ge=0, le=1)
    """Stop when more than this share of the items has faults; fewer are left out and listed."""
    max_dynamic_patch: int | None = Field(default=None, ge=1)
    """Tile limit to write into the meta file."""


class PlacesSettings(BuildSettings):
    """What answers with boxes share."""

    max_boxes: int = Field(default=50, ge=1)
    """Longest list of boxes in an answer; longer ones are not asked for."""
    smallest: int = Field(default=1, ge=1)
    """Smallest side of a box on the scale of 1000; smaller ones are left out and counted."""


class BoxesSettings(PlacesSettings):
    """COCO-style boxes: detection, grounding, region naming and counting."""

    forms: tuple[ObjectForm, ...] = get_args(ObjectForm)
    """Which kinds of questions to ask."""
    questions: int = Field(default=8, ge=1)
    """Most questions per picture; kinds take turns."""
    absent: int = Field(default=0, ge=0)
    """Classes per picture asked for although they are not there; right only if every object is annotated."""


class RemoteSettings(BoxesSettings):
    """DOTA-style rotated boxes of aerial pictures: a folder of .txt files."""

    rotated: bool = False
    """Answer with <quad> and four corners instead of upright boxes; no released model was trained on that."""
    difficult: Literal["keep", "skip"] = "keep"
    """What to do with objects marked as difficult."""


class ClassesSettings(BuildSettings):
    """One folder of pictures per class, with a list of candidates in the question."""

    style: Literal["list", "letters", "open"] = "list"
    """list: names to choose from; letters: lettered options; open: no candidates."""
    distractors: int = Field(default=3, ge=1)
    """Wrong candidates beside the right one."""


class VqaSettings(BuildSettings):
    """Questions and answers: VQAv2's pair of files, or rows of CSV, TSV, JSON or JSONL."""

    answers: Path | None = None
    """VQAv2: the annotations file that belongs to the questions file."""
    image_name: str | None = None
    """Picture of an image_id, as in "COCO_val2014_{image_id:012d}.jpg"; VQAv2 files name it themselves."""
    style: Literal["auto", "short", "plain"] = "auto"
    """short: ask for a word or phrase; plain: the question alone; auto: short for short answers."""


class CaptionsSettings(BuildSettings):
    """Captions: COCO's file, or rows of CSV, TSV, JSON or JSONL."""

    per_picture: Literal["all", "one"] = "all"
    """Every caption as a record of its own, or one of each picture's."""


class OcrSettings(PlacesSettings):
    """Text lines with boxes or corners: JSONL, PaddleOCR's label file, or a folder of ICDAR .txt files."""

    forms: tuple[TextForm, ...] = get_args(TextForm)
    """Which kinds of questions to ask."""
    order: Literal["reading", "given"] = "reading"
    """Lines from top to bottom and left to right, or as in the file."""
    questions: int = Field(default=4, ge=1)
    """Most questions per picture; kinds take turns."""
    max_boxes: int = Field(default=100, ge=1)
    """Longest list of boxes in an answer; longer ones are not asked for."""


class ViewsSettings(PlacesSettings):
    """Several camera views of one moment: DriveLM's JSON, or JSONL rows with named views."""

    layout: Literal["pictures", "mosaic"] = "pictures"
    """pictures: every view is a picture behind its name; mosaic: one picture with the names drawn in."""
    columns: int = Field(default=3, ge=1)
    """Columns of the mosaic."""
    cell: tuple[int, int] = (896, 448)
    """Width and height of a view in the mosaic, in pixels."""
