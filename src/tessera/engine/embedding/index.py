"""Rows of many pictures, clips or texts in one file, brought up to date by what changed since."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tessera.engine.embedding.batches import batches
from tessera.engine.embedding.clips import embed_clip
from tessera.engine.embedding.embedder import Embedder
from tessera.engine.embedding.items import IndexedItem
from tessera.runtime.disk import disk_faults, sync
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown

FORM = "tessera index 1"
AT_ONCE = 32
"""Items that are embedded together."""


@dataclass(frozen=True)
class Made:
    """How rows were made. Rows of another making are not comparable, and are made anew."""

    model: str
    fingerprint: str
    mode: str
    frames: int

    @classmethod
    def by(cls, embedder: Embedder, mode: str, frames: int) -> Made:
        """By this model. ValueError for a mode that it does not have."""
        if mode not in embedder.modes:
            raise ValueError(f"mode = {shown(mode)}: {embedder.name} has {', '.join(embedder.modes)}")
        return cls(embedder.name, embedder.fingerprint, mode, frames)


@dataclass(frozen=True)
class EmbeddingIndex:
    """Items and their unit rows float32 [N, W], and how these were made."""

    made: Made
    items: tuple[IndexedItem, ...]
    rows: Tensor

    def save(self, file: Path) -> None:
        """Write one safetensors file, which takes its name when it is whole."""
        lines = "\n".join(json.dumps(list(asdict(item).values()), ensure_ascii=False) for item in self.items)
        names = torch.from_numpy(np.frombuffer(lines.encode("utf-8", "surrogatepass"), np.uint8).copy())
        part = file.with_name(f"{file.name}.part")
        with disk_faults(file):
            try:
                about = {"form": FORM, **{name: str(value) for name, value in asdict(self.made).items()}}
                part.touch()
                mode = part.stat().st_mode  # as the user's mask has it; safetensors lets nobody else read
                save_file({"rows": self.rows.contiguous(), "items": names}, part, about)
                part.chmod(mode)
                sync(part)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)


def read_index(file: Path) -> EmbeddingIndex:
    """An index from its file; the rows stay there and are read where they are needed.

    Raises ValueError for a file that is missing or none.
    """
    try:
        with safe_open(file, "pt") as stored:
            about = stored.metadata() or {}
            if about.pop("form", None) != FORM:
                raise ValueError("it is no index of this package")
            rows, names = stored.get_tensor("rows"), stored.get_tensor("items")
        lines = names.numpy().tobytes().decode("utf-8", "surrogatepass").split("\n")
        items = tuple(IndexedItem(*json.loads(line)) for line in lines)
        made = Made(about["model"], about["fingerprint"], about["mode"], int(about["frames"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"index: {shown(file)} cannot be read ({shown(error)}); name another") from error
    if rows.dim() != 2 or len(rows) != len(items) or rows.dtype != torch.float32:
        raise ValueError(f"index: {shown(file)} holds {len(items)} items, rows {list(rows.shape)}; remove it")
    return EmbeddingIndex(made, items, rows)


@dataclass(frozen=True)
class Refreshed:
    """An index that is up to date, and what was done for it."""

    index: EmbeddingIndex
    kept: int
    renewed: int
    added: int
    removed: int
    unreadable: tuple[str, ...] = ()
    """What is wrong with each item that is left out; it is tried again the next time."""

    @property
    def changed(self) -> bool:
        """Whether the file is to be written anew."""
        return bool(self.renewed or self.added or self.removed)


def refresh(
    embedder: Embedder,
    folder: Path,
    items: Sequence[IndexedItem],
    made: Made,
    old: EmbeddingIndex | None = None,
    progress: Progress = silent,
) -> Refreshed:
    """Rows for all items in order: those of `old` that did not change are kept, the others made.

    Items that cannot be read are left out and told. Raises ValueError when none is left.
    """
    names = {item.name for item in old.items} if old else set()
    usable = old if old and old.made == made and old.rows.shape[1] == embedder.width else None
    places = {item: place for place, item in enumerate(usable.items)} if usable else {}
    fresh, faults = _rows(embedder, folder, [item for item in items if item not in places], made, progress)
    kept = [item for item in items if item in places or item in fresh]
    if not kept:
        raise ValueError(f"{shown(folder)}: nothing in it can be read; {faults[0]}")
    rows = torch.empty(len(kept), embedder.width)
    for place, item in enumerate(kept):
        rows[place] = fresh[item] if usable is None or item in fresh else usable.rows[places[item]]
    renewed = sum(item.name in names for item in fresh)
    gone = len(names - {item.name for item in kept})
    index = EmbeddingIndex(made, tuple(kept), rows)
    return Refreshed(index, len(kept) - len(fresh), renewed, len(fresh) - renewed, gone, tuple(faults))


def _rows(
    embedder: Embedder, folder: Path, items: Sequence[IndexedItem], made: Made, progress: Progress
) -> tuple[dict[IndexedItem, Tensor], list[str]]:
    """Row of each item, and what is wrong with those that have none."""
    rows: dict[IndexedItem, Tensor] = {}
    faults: list[str] = []
    makers: dict[str, Callable[[list[IndexedItem]], Iterator[tuple[IndexedItem, Tensor | ValueError]]]] = {
        "picture": lambda some: _pictures(embedder, folder, some, made.mode),
        "clip": lambda some: _clips(embedder, folder, some, made),
        "text": lambda some: iter(zip(some, embedder.embed_texts([item.name for item in some]), strict=True)),
    }
    for kind, make in makers.items():
        for some in batches((item for item in items if item.kind == kind), AT_ONCE):
            for item, found in make(some):
                if isinstance(found, ValueError):
                    faults.append(f"{shown(item.name)}: {shown(found)}")
                else:
                    rows[item] = found
            progress("embedded", len(rows) + len(faults), len(items))
    return rows, faults


def _pictures(
    embedder: Embedder, folder: Path, items: list[IndexedItem], mode: str
) -> Iterator[tuple[IndexedItem, Tensor | ValueError]]:
    """All together; where one of them cannot be read, each alone."""
    try:
        rows = embedder.embed_images([folder / item.name for item in items], mode)
        yield from zip(items, rows, strict=True)
    except ValueError as error:
        if len(items) == 1:
            yield items[0], error
        else:
            for item in items:
                yield from _pictures(embedder, folder, [item], mode)


def _clips(
    embedder: Embedder, folder: Path, items: list[IndexedItem], made: Made
) -> Iterator[tuple[IndexedItem, Tensor | ValueError]]:
    for item in items:
        try:
            row: Tensor | ValueError = embed_clip(embedder, folder / item.name, made.frames, made.mode)
        except ValueError as error:
            row = error
        yield item, row
