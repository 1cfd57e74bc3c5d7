"""What to train on, as frozen settings: InternVL's meta file (docs/facts/data.md), its like in YAML,
playgrounds."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from tessera.imaging.frames import MOST_FRAMES, MOST_RATE
from tessera.imaging.grid import MOST_TILES
from tessera.imaging.pictures.reading import PictureReading
from tessera.playground.scene import ALL_SUITES, ALL_TASKS, LEVELS, SUITES
from tessera.playground.talk import Mode
from tessera.records.files.mapping import read_mapping
from tessera.records.files.places import Location, location, suffix
from tessera.records.forms.detect import FormName
from tessera.records.record import SURROGATE
from tessera.runtime.config import Config
from tessera.runtime.shown import shown

SUFFIXES = (".jsonl", ".json", ".parquet", ".tar")
"""What an annotation may end in."""
TABLES = (".csv", ".tsv", ".xlsx", ".txt")
_ENDINGS = f"give the path of a file that ends in {', '.join(SUFFIXES)}"


class DatasetSpec(Config):
    """One dataset of records in files. A `Path` is local, a `str` the URL of a remote file or folder."""

    name: str
    annotation: Path | str
    """the file of records, or several: `shard-{000..012}.tar`, `part-*.parquet`"""
    root: Path | str
    """the folder that media paths start from and stay in"""
    format: Literal["auto", FormName] = "auto"
    """how records are written; auto decides for every file by its first records"""
    system: str | None = None
    """system text of records that have none; None leaves the template's"""
    academic: bool = False
    """a published data set that the filters of multimodal data leave alone"""
    data_augment: bool = False
    """JPEG augmentation of pictures"""
    max_dynamic_patch: int | None = Field(default=None, gt=0, le=MOST_TILES)
    """tile limit of this dataset; None takes the encoder's"""
    pictures: PictureReading | None = None
    """how picture files become RGB; None takes the encoder's"""
    min_frames: int = Field(default=8, gt=0, le=MOST_FRAMES)
    """fewest frames of a clip in training"""
    max_frames: int = Field(default=32, gt=0, le=MOST_FRAMES)
    """most frames of a clip in training"""
    frame_sampling: Literal["random", "uniform"] = "random"
    """random: number and places of frames are drawn in every visit; uniform: as in inference"""
    fps: float | None = Field(default=None, gt=0, le=MOST_RATE)
    """frames a second of a clip, at most max_frames; the same in every visit"""
    pretraining: bool = False
    """documents and captions: no roles, loss on all text"""
    text_only: bool = False
    """no pictures and no clips: `<image>` and `<video>` are words"""
    foreign_marks: Literal["fault", "words"] = "fault"
    """marks that other tools write for a picture, in questions that are asked with one"""
    ignored_keys: tuple[str, ...] = ()
    """keys of records that hold nothing needed, whatever they look like"""
    missing_pictures: Literal["fault", "leave_out"] = "fault"
    """leave_out: documents go on without pictures that are missing or broken; the check counts them"""
    train_turn_ends: bool = True
    """false: the words of answers are trained, and not the token that ends each"""
    repeat_time: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """passes per epoch; a fraction takes another random part of the records in every epoch"""
    held_out: float = Field(default=0.0, ge=0, lt=1)
    """share of the records that are kept from training, chosen by their numbers"""
    part: Literal["all", "training", "held_out"] = "all"
    """which records this entry reads, where some are held out"""
    length: int | None = None
    """number of records for information; not used"""
    weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """relative probability of a draw; None means records x repeat_time"""

    @field_validator("ignored_keys", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("annotation", "root")
    @classmethod
    def _located(cls, value: Path | str, info: ValidationInfo) -> Location:
        """Local names as paths, so that the type tells what is remote; relative ones start at the base."""
        if "\0" in str(value):
            raise ValueError(f"{shown(value)} holds a NUL character; correct the path")
        place = location(value, (info.context or {}).get("base"))
        if info.field_name == "annotation" and suffix(place) not in SUFFIXES:
            table = suffix(place) in TABLES
            remedy = "make records of it with tessera data build" if table else _ENDINGS
            raise ValueError(f"{shown(str(value), bare=True) or 'missing'}; {remedy}")
        return place

    @field_validator("pictures", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        return None if value is None else PictureReading.read(value)

    @field_validator("name", "system")
    @classmethod
    def _sound(cls, value: str | None) -> str | None:
        if value is not None and ("\0" in value or SURROGATE.search(value)):
            raise ValueError(f"{shown(value)} holds half of a surrogate pair, or NUL; write text")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.missing_pictures == "leave_out" and not self.pretraining:
            raise ValueError(
                "missing_pictures: leave_out is for documents; set pretraining: true, or remove it"
            )
        if self.part != "all" and not self.held_out:
            raise ValueError(f"part: {self.part} needs held_out, the share that is kept from training")
        if self.min_frames > self.max_frames:
            raise ValueError("min_frames is above max_frames; their defaults are 8 and 32")
        return self


ENTRY_KEYS = tuple(name for name in DatasetSpec.model_fields if name != "name")


class PlaygroundSource(Config):
    """Pictures drawn while training, each with several questions in one conversation."""

    name: str = "playground"
    suites: dict[str, float] = Field(default_factory=lambda: dict.fromkeys(SUITES, 1.0), min_length=1)
    """suite name -> share"""
    tasks: tuple[str, ...] = ()
    """only questions of these tasks; empty takes all"""
    mode: Mode = "picture"
    """picture: as it is; caption: a caption in words instead of the picture; blind: neither"""
    questions: int = Field(default=8, ge=1)
    """most questions per scene"""
    descriptions: float = Field(default=0.0, ge=0, le=1)
    """share of scenes that ask for a description instead (mode "picture" only)"""
    levels: dict[int, float] = Field(default_factory=lambda: {2: 1.0}, min_length=1)
    """how hard the scenes are, 1 to 3 -> share"""
    sizes: tuple[tuple[int, int], ...] = ((64, 64),)
    """width and height of pictures in pixels; a size that stands twice is drawn twice as often"""
    seed: int = 0
    count: int | None = Field(default=None, ge=1)
    """how many scenes; None draws new ones for ever"""
    weight: float = Field(default=1.0, gt=0)
    """relative probability of a draw"""
    token_share: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """share of the tokens, relative to the other sources of a stage; None mixes by draws"""

    @field_validator("suites", "tasks", "levels")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        known: dict[str, tuple[int | str, ...]] = {
            "suites": ALL_SUITES,
            "tasks": tuple(ALL_TASKS),
            "levels": LEVELS,
        }
        choices = known[str(info.field_name)]
        unknown = [name for name in value if name not in choices]
        if unknown:
            raise ValueError(f"{unknown} unknown; choose among {', '.join(map(str, choices))}")
        return value


def read_meta(file: Path | str, base: Path | str | None = None) -> tuple[DatasetSpec, ...]:
    """The sources of a manifest: InternVL's meta file, or YAML of the same shape with more keys.

    Relative paths start at `base` (a folder or URL), by default the folder of the file. ValueError naming
    dataset, key and remedy for anything unknown, missing, of the wrong type or written twice.
    """
    file = Path(file)
    folder = file.parent if base is None else location(base)
    return tuple(_spec(file, folder, name, entry) for name, entry in read_mapping(file).items())


def _spec(file: Path, folder: Location, name: str, entry: object) -> DatasetSpec:
    """One entry of the manifest; what is wrong with it is told with file, source and key."""
    place = f"{shown(file)}: {shown(name, bare=True)}"
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: {shown(entry)} is not an object with {', '.join(ENTRY_KEYS)}")
    if unknown := sorted(str(key) for key in entry if key not in ENTRY_KEYS):
        allowed = ", ".join(ENTRY_KEYS)
        keys = shown(", ".join(unknown), bare=True)
        raise ValueError(f"{place}: unknown keys {keys}; allowed: {allowed}")
    try:
        # Strict: the text "2" is no number and 1 is no true, or a slip of the pen would go unseen.
        values = {"root": "", **entry, "name": name}
        return DatasetSpec.model_validate(values, strict=True, context={"base": folder})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join((place, *map(str, first["loc"][:1])))
        raise ValueError(f"{where}: {_problem(first)}") from error


def _problem(error: ErrorDetails) -> str:
    """What pydantic found, in the words of a manifest, with the remedy."""
    kind, value = error["type"], shown(error["input"])
    match kind:
        case "missing":
            return f"missing; {_ENDINGS}"
        case "value_error":
            return str(error["ctx"]["error"])
        case "greater_than" | "finite_number":
            return f"{value}; it must be above 0"
        case "less_than_equal":
            return f"{value}; it must be at most {error['ctx']['le']}"
        case "literal_error":
            return f"{value}; choose among {error['ctx']['expected'].replace(chr(39), '')}"
    what = {
        "bool_type": "true or false",
        "int_type": "an integer",
        "float_type": "a number",
        "tuple_type": "a list",
    }
    return f"{value} is not {what.get(kind, 'text')}; correct it"
