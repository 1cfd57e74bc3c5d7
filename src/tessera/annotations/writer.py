"""Drafts to JSONL files of records that the package's own reader has accepted, split by picture."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tessera.annotations.job import Draft
from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.annotations.settings import BuildSettings, ViewsSettings
from tessera.chat.message import Role
from tessera.records.faults import DataError
from tessera.records.forms.detect import FORMS
from tessera.records.record import RecordPlace
from tessera.records.writing import internvl_record, json_line, write_meta
from tessera.runtime.atomic import atomic_write
from tessera.runtime.seeds import derive_seed

SIDES = ("train", "val")
META = {"train": "meta.json", "val": "meta_val.json"}
COPIES = "images"
"""Folder below the output that copied pictures go to."""


@dataclass
class Split:
    """Which side a picture is on, by a hash of seed and path: the same whatever else is built."""

    val: float
    seed: int
    sides: dict[int, str] = field(default_factory=dict)
    """hash of a picture -> the side it went to"""

    def side(self, pictures: tuple[Picture, ...]) -> str:
        """train or val for all of these pictures. Rejected when two of them are on different sides."""
        if not self.val:
            return "train"
        keys = [derive_seed("split", self.seed, picture.path) for picture in pictures]
        known = {self.sides[key] for key in keys if key in self.sides}
        if len(known) > 1:
            raise Rejected(SkipReason.OTHER_SIDE, ", ".join(picture.path for picture in pictures))
        side = known.pop() if known else SIDES[keys[0] < self.val * 2**63]
        self.sides.update(dict.fromkeys(keys, side))
        return side


@dataclass
class SideCounts:
    """What one side of the split holds."""

    records: int = 0
    pictures: set[str] = field(default_factory=set)
    forms: Counter[str] = field(default_factory=Counter)

    def as_row(self) -> dict[str, object]:
        """Plain numbers."""
        forms, pictures = dict(sorted(self.forms.items())), len(self.pictures)
        return {"records": self.records, "turns": self.forms.total(), "pictures": pictures, "forms": forms}


class RecordWriter:
    """Writes train.jsonl, val.jsonl and their meta files, which appear when the block of `open` ends well."""

    def __init__(self, settings: BuildSettings, name: str, source: Path) -> None:
        self.settings, self.name, self.source = settings, name, source
        self.counts = {side: SideCounts() for side in (SIDES if settings.val else SIDES[:1])}
        self.files = [settings.out / name for side in self.counts for name in (f"{side}.jsonl", META[side])]
        # Pictures that were made for the records stand below the output, where the others are not looked for.
        made = isinstance(settings, ViewsSettings) and settings.layout == "mosaic"
        self._below = "." if made else COPIES if settings.copy_pictures else None
        self._copying = settings.copy_pictures and not made
        self._split = Split(settings.val, settings.seed)
        self._copied: set[Path] = set()
        self._streams: dict[str, IO[bytes]] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """The time of writing."""
        with ExitStack() as stack:
            for side in self.counts:
                file = self.settings.out / f"{side}.jsonl"
                self._streams[side] = stack.enter_context(atomic_write(file))
            yield
        for side, count in self.counts.items():
            entry = {
                # Paths of a meta file start at its folder; other pictures have a whole path.
                "root": self._below or str(self.source.absolute()),
                "annotation": f"{side}.jsonl",
                "data_augment": side == "train",
                "repeat_time": 1,
                "length": count.records,
            }
            limit = self.settings.max_dynamic_patch
            more = {} if limit is None else {"max_dynamic_patch": limit}
            write_meta(self.settings.out / META[side], {self.name: entry | more})

    @property
    def _root(self) -> Path:
        """Where the paths of the records start."""
        return self.source if self._below is None else self.settings.out / self._below

    def write(self, draft: Draft) -> None:
        """Write a draft's record to its side. Rejected when the split or the package's check refuses it."""
        self._make_sure_of_root(draft.pictures)
        side = self._split.side(draft.pictures)
        count = self.counts[side]
        record = _record(draft, count.records)
        try:
            FORMS["internvl"].parse(record, RecordPlace(Path(f"{side}.jsonl"), count.records + 1, self._root))
        except DataError as error:
            fault = error.faults[0]
            raise Rejected(Fault.REFUSED, f"{fault.field}: {fault.reason} ({fault.detail})") from error
        if self._copying:
            self._copy(draft.pictures)
        self._streams[side].write(json_line(record))
        count.records += 1
        count.pictures.update(picture.path for picture in draft.pictures)
        count.forms.update(turn.form for turn in draft.turns)

    def _make_sure_of_root(self, pictures: tuple[Picture, ...]) -> None:
        """Stored pictures stand below the output, and so do the others then: a data set has one root."""
        if self._below is None and any(picture.stored for picture in pictures):
            if any(count.records for count in self.counts.values()):
                detail = "this picture is base64, those before are files; take --copy-pictures"
                raise Rejected(Fault.BAD_ROW, detail)
            self._below, self._copying = COPIES, True

    def _copy(self, pictures: tuple[Picture, ...]) -> None:
        named = (picture for picture in pictures if not picture.stored)
        for target in {self._root / picture.path for picture in named} - self._copied:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.source / target.relative_to(self._root), target)
            self._copied.add(target)


def _record(draft: Draft, number: int) -> dict[str, Any]:
    shown = draft.shown or draft.pictures
    turns: list[tuple[Role, str]] = []
    for turn in draft.turns:
        question = turn.question if turns else draft.head + turn.question
        turns += [("user", question), ("assistant", turn.answer)]
    paths, sizes = [picture.path for picture in shown], [picture.size for picture in shown]
    return internvl_record(number, turns, images=paths, sizes=sizes)
