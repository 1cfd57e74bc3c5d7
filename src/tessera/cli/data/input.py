"""What the verbs that look at data share: whose encoder counts, the sources of a manifest, bars on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tessera.chat.encoder import Encoder
from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import read_description
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalog import fresh
from tessera.packing.config import PackingConfig
from tessera.packing.samples.overlong import OverLong
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource


@dataclass(frozen=True)
class Counted:
    """Whose tiles, template and tokenizer lengths are counted with."""

    model: str | None = None
    """Checkpoint folder (any layout) or name; no weights are read."""
    family: str = "scale_model"
    """Without --model: whose settings, e.g. InternVL2_5-4B."""
    tokenizer: Path | None = None
    """Without --model: folder of the tokenizer; the shipped one by default."""

    def encoder(self) -> Encoder:
        """The encoder that training or chat with this model would use."""
        if self.model is not None:
            description = read_description(find_checkpoint(self.model))
            return description.family.encoder(description.tokenizer)
        tokenizer = load_tokenizer(self.tokenizer or shipped_folder("tokenizer"))
        return fresh(self.family, tokenizer).encoder(tokenizer)


@dataclass(frozen=True)
class Limited(Counted):
    """Capacities of a pack, and what becomes of records that exceed them."""

    max_tokens: int = PackingConfig().max_tokens
    """Tokens of a pack; the InternVL2.5 recipes have 16384."""
    max_tiles: int = PackingConfig().max_tiles
    """Tiles of a pack."""
    over_long: OverLong = "error"
    """Longer records: error, drop, fewer_tiles or split."""


def at_least(given: object, **lowest: int) -> None:
    """ValueError naming the first of these options that is below its lowest value."""
    for name, least in lowest.items():
        value = getattr(given, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} {value}: give at least {least}")


def manifest_sources(manifest: Path, only: str | None = None) -> tuple[WeightedSource, ...]:
    """The sources of a manifest, or the one of this name. ValueError when there is none."""
    specs = read_meta(manifest)
    names = [spec.name for spec in specs]
    if only is not None and only not in names:
        raise ValueError(f"--source {only}: the manifest has {', '.join(names)}")
    return open_sources([spec for spec in specs if only in (None, spec.name)])


class Bars:
    """Passes over the data, by name, as bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Bars on stderr that vanish when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bars(progress)
