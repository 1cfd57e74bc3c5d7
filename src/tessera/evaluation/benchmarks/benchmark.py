"""A benchmark as data: where its questions lie, how they are asked and scored, and what papers report."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Kind = Literal["choice", "short", "yes_no", "open", "caption", "box", "point", "text", "tool"]
"""What is asked for; a preset has a prompt for each kind, used where the benchmark says nothing."""


def _several(given: Any) -> Any:
    if given == "A-Z":
        return tuple(ascii_uppercase)
    return (given,) if isinstance(given, str) else given


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""One text, or a list of them; A-Z stands for all letters."""


class Declared(BaseModel):
    """Frozen; a field that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(Declared):
    """A scorer, an aggregate or an interval's unit by its name, with its settings."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @property
    def settings(self) -> dict[str, Any]:
        """Beside the name."""
        return dict(self.model_extra or {})


class Beside(Declared):
    """Another file whose rows complete those of the first: VQAv2 has answers apart from questions."""

    file: str
    match: dict[str, str]
    """one column of the questions → the column of equal values there"""
    take: dict[str, str]
    """column there → the name it gets here"""
    records: str | None = None
    """key of the list in a JSON object; dots go deeper"""
    many: bool = False
    """several rows belong to a question: what is taken are lists (captions of a picture)"""


class DataForm(Declared):
    """One form in which the questions may lie on the disk, below the data root. docs/benchmark_data.md

    file: one or several, also patterns; the ending says how they are read (.tsv, .csv, .jsonl, .json,
    .parquet, .arrow; a folder of such files). `human=path` puts `human` into the column `split` of that
    file's rows.
    """

    file: Names
    columns: Names = ()
    """names of the columns of tables without a header (tabs in a .txt)"""
    media: str = ""
    """folder that named pictures and clips stand below, relative to the root"""
    folders: dict[str, str] = Field(default_factory=dict)
    """value of `split` → folder of its clips and pictures, below `media`"""
    named: str = "{}"
    """file's name of what a picture or clip is called: `{}.jpg`, `COCO_val2014_{:012d}.jpg`; columns of the
    row by their names: `{dataset}/{scene_name}.mp4`"""
    paths: Literal["below", "anywhere"] = "below"
    """absolute paths outside `media` are refused, or followed"""
    rules: Literal["vlmevalkit", "own"] | None = None
    """None: vlmevalkit for .tsv, own for all else.

    vlmevalkit, as that kit reads and shows its data: pandas' types of columns (007 is 7, None and NA are
    missing), rows without a picture are left out, a picture whose `image_path` ends in .jpg is a JPEG anew.
    own: cells of a table are texts, only an empty one is missing; bytes of pictures stay as they are.
    """
    index: Names | None = None
    """column that names a question, or several that do together (a/b); without one a table's `index`, or the
    line's number"""
    question: str = "question"
    """dots go deeper here and in the columns below: `input.question`, `conversations.0.value`"""
    answer: Names = ("answer",)
    """column with the right answer, or a list of them; the first of several columns that a row has"""
    answer_is: Literal["text", "letter", "index", "number", "option"] = "text"
    """what stands there: text as it is; an option's letter, index (from 0), number (from 1) or text, each of
    which becomes the letter"""
    image: Names = ()
    """columns with pictures: base64, bytes, paths, lists of these"""
    sized: bool = False
    """the first picture's own size becomes the columns `width` and `height`, which boxes in pixels need"""
    video: str | None = None
    """column with a clip: a file or a folder of frames"""
    start: str | None = None
    """column with the second in which the clip begins"""
    end: str | None = None
    """column with the second in which it ends"""
    fps: float | None = Field(default=None, gt=0)
    """frames a second of folders of frames, by which `start` and `end` are found in them"""
    options: Names = ()
    """columns with the options in order, named A, B, … whatever their names; or one column with a list"""
    records: str | None = None
    """key of the list in a JSON object; dots go deeper"""
    beside: Beside | None = None
    where: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """rows are kept whose columns have one of these values"""
    rename: dict[str, str] = Field(default_factory=dict)
    """column → the name that prompts and aggregates use"""


class PresetRules(Declared):
    """How questions are asked and judged. What is None comes from the preset's rules for the kind."""

    prompt: str | None = None
    """Jinja: question, options (letter → text), images and frames (how many), every column; `<image>` marks a
    picture"""
    cot: str | None = None
    """the same that asks for reasoning; `prompt` is what would be asked without; the answer is in a box"""
    system: str | None = None
    tiles: int | None = Field(default=None, ge=1)
    """most of a picture, before all pictures share `total_tiles`"""
    total_tiles: int | None = Field(default=None, ge=1)
    """all pictures of a question share so many"""
    first_enlarged: bool | None = None
    """the first picture is drawn twice as wide and high (MMMU)"""
    joined: bool | None = None
    """all pictures stand under one mark, the first with `tiles`, the others with one each (MMMU)"""
    frames: int | None = Field(default=None, ge=1)
    new_tokens: int | None = Field(default=None, ge=1)
    min_new_tokens: int | None = Field(default=None, ge=1)
    scorer: Choice | None = None
    aggregate: Choice | None = None
    data: str | None = None
    """the form of the data that is taken first where several are there"""


class Benchmark(Declared):
    """One file of `assets/benchmarks`, or of your own.

    Of your own, `name`, `kind`, `data` and `scorer` are enough: data may be a file's name alone, with the
    columns question, answer, image and, for a choice, A, B, …
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.+-]*$")
    title: str = ""
    """as papers write it; the name by default"""
    kind: Kind
    about: str = ""
    """one line: what it measures, how many questions"""
    questions: int | None = Field(default=None, ge=1)
    """how many there are, where known; other numbers are told"""
    url: str = ""
    """where its data can be had; nothing is fetched"""
    data: dict[str, DataForm]
    """forms by name: vlmevalkit, official, lmms-eval, or any other"""
    presets: dict[str, PresetRules] = Field(default_factory=dict)
    """official, vlmevalkit, lmms-eval: what differs from the preset's rules for the kind"""
    scorer: Choice
    aggregate: Choice = Choice(name="mean")
    unit: str | None = None
    """column whose equal values belong together: intervals draw these whole (rotations, both questions of a
    picture)"""
    metric: str = ""
    """the headline in words, such as ANLS"""
    published: dict[str, dict[str, float]] = Field(default_factory=dict)
    """source (paper or harness) → model → headline, in the aggregate's unit"""
    best: float = Field(default=100, gt=0)
    """the most that the headline can be: 1000 of OCRBench, 2800 of MME"""
    judge: str | None = None
    """name of a judge's prompt; without a judge the scorer decides alone"""
    export: str | None = None
    """form of the file for an evaluation server, where answers are not public"""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """What a short file of one's own leaves out."""
        if not isinstance(given, dict):
            return given
        given = {**given, "title": given.get("title") or given.get("name", "")}
        if isinstance(given.get("data"), str):
            options = "A-Z" if given.get("kind") == "choice" else ()
            form = {"file": given["data"], "options": options, "rules": "own"}
            given["data"] = {"own": form | ({} if given.get("kind") == "text" else {"image": "image"})}
        return given
