"""Drafts to JSONL files of records that the package's own reader has accepted, split by picture."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tessera.annotations.job import Draft
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import BuildSettings
from tessera.annotations.tally import Fault, Rejected, Rule
from tessera.records.faults import DataError
from tessera.records.forms.detect import FORMS
from tessera.records.record import RecordPlace
from tessera.runtime.seeds import derive_seed

SIDES = ("train", "val")
META = {"train": "meta.json", "val": "meta_val.json"}
COPIES = "images"
"""Folder below the output that copied pictures go to."""


class Split:
    """Which side a picture is on, by a hash of seed and path: the same whatever else is built."""

    def __init__(self, val: float, seed: int) -> None:
        self._val, self._seed = val, seed
        self._sides: dict[int, str] = {}

    def side(self, pictures: tuple[Picture, ...]) -> str:
        """train or val for all of these pictures. Rejected when two of them are on different sides."""
        if not self._val:
            return "train"
        keys = [derive_seed("split", self._seed, picture.path) for picture in pictures]
        known = {self._sides[key] for key in keys if key in self._sides}
        if len(known) > 1:
            raise Rejected(Rule.OTHER_SIDE, ", ".join(picture.path for picture in pictures))
        side = known.pop() if known else SIDES[keys[0] < self._val * 2**63]
        self._sides.update(dict.fromkeys(keys, side))
        return side


@dataclass
class SideCounts:
    """What one side of the split holds."""

    records: int = 0
    turns: int = 0
    pictures: set[str] = field(default_factory=set)
    forms: Counter[str] = field(default_factory=Counter)

    def as_row(self) -> dict[str, object]:
        """Plain numbers."""
        forms = dict(sorted(self.forms.items()))
        return {"records": self.records, "turns": self.turns, "pictures": len(self.pictures), "forms": forms}


class RecordWriter:
    """Writes train.jsonl and val.jsonl; files appear under their names when all is done."""

    def __init__(self, settings: BuildSettings, name: str, root: Path, made: bool) -> None:
        self.settings, self.name, self.source = settings, name, root
        self.counts = {side: SideCounts() for side in (SIDES if settings.val else SIDES[:1])}
        self._split = Split(settings.val, settings.seed)
        self._copied: set[str] = set()
        self._made = made
        self._streams: dict[str, TextIO] = {}

    def __enter__(self) -> RecordWriter:
        for side in self.counts:
            self._streams[side] = self._part(side).open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams.values():
            stream.close()
        for side in self.counts:
            self._part(side).unlink(missing_ok=True)

    def write(self, draft: Draft) -> None:
        """Write a draft's record to its side. Rejected when the split or the package's check refuses it."""
        side = self._split.side(draft.pictures)
        count = self.counts[side]
        record = self._record(draft, count.records)
        place = RecordPlace(self._part(side), count.records + 1, self.root)
        try:
            FORMS["internvl"].parse(record, place)
        except DataError as error:
            fault = error.faults[0]
            raise Rejected(Fault.REFUSED, f"{fault.field}: {fault.reason} ({fault.detail})") from error
        if self.settings.copy_pictures:
            self._copy(draft.pictures)
        self._streams[side].write(json.dumps(record, ensure_ascii=False) + "\n")
        count.records += 1
        count.turns += len(draft.turns)
        count.pictures.update(picture.path for picture in draft.pictures)
        count.forms.update(turn.form for turn in draft.turns)

    def finish(self) -> list[Path]:
        """Give the files their names and write the meta files; all of them."""
        files = []
        for side, count in self.counts.items():
            self._streams[side].close()
            file = self._part(side).replace(self.settings.out / f"{side}.jsonl")
            meta = self.settings.out / META[side]
            meta.write_text(
                json.dumps({self.name: self._entry(side, count)}, indent=2) + "\n", encoding="utf-8"
            )
            files += [file, meta]
        return files

    @property
    def root(self) -> Path:
        """The folder that paths of the records start from."""
        if self._made:
            return self.settings.out
        return self.settings.out / COPIES if self.settings.copy_pictures else self.source

    def _part(self, side: str) -> Path:
        return self.settings.out / f"{side}.jsonl.part"

    def _record(self, draft: Draft, number: int) -> dict[str, Any]:
        """The record in InternVL's form (facts 5.2)."""
        shown = draft.shown or draft.pictures
        record: dict[str, Any] = {"id": number}
        if len(shown) == 1:
            record |= {"image": shown[0].path, "width": shown[0].size[0], "height": shown[0].size[1]}
        else:
            record["image"] = [picture.path for picture in shown]
            record["width_list"] = [picture.size[0] for picture in shown]
            record["height_list"] = [picture.size[1] for picture in shown]
        record["conversations"] = [
            {"from": who, "value": (draft.head if not n and who == "human" else "") + text}
            for n, turn in enumerate(draft.turns)
            for who, text in (("human", turn.question), ("gpt", turn.answer))
        ]
        return record

    def _entry(self, side: str, count: SideCounts) -> dict[str, Any]:
        """The meta file's entry (facts 5.1). Paths start at its folder; other pictures have a whole path."""
        elsewhere = COPIES if self.settings.copy_pictures else str(self.source.absolute())
        entry: dict[str, Any] = {
            "root": "." if self._made else elsewhere,
            "annotation": f"{side}.jsonl",
            "data_augment": side == "train",
            "repeat_time": 1,
            "length": count.records,
        }
        limit = self.settings.max_dynamic_patch
        return entry | ({"max_dynamic_patch": limit} if limit is not None else {})

    def _copy(self, pictures: tuple[Picture, ...]) -> None:
        for picture in pictures:
            if self._made or picture.path in self._copied:
                continue
            target = self.root / picture.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.source / picture.path, target)
            self._copied.add(picture.path)
