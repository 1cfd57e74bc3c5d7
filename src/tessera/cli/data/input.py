"""What the verbs about data share: the manifest, and the capacities of a pack."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from tessera.cli.command import Command, CountingCommand
from tessera.packing.config import Limits, PackingConfig
from tessera.packing.samples.overlong import OverLong
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource

Of = TypeVar("Of", bound=Limits)


@dataclass(frozen=True, kw_only=True)
class ManifestCommand(Command):
    """A command about the data that a manifest names."""

    manifest: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
    """Manifest or InternVL's meta file: dataset name to annotation, root and more."""

    def sources(self, only: str | None = None) -> tuple[WeightedSource, ...]:
        """The sources of the manifest, or the one of this name. ValueError when there is none."""
        specs = read_meta(self.manifest)
        names = [spec.name for spec in specs]
        if only is not None and only not in names:
            raise ValueError(f"--source {only}: the manifest has {', '.join(names)}")
        return open_sources([spec for spec in specs if only in (None, spec.name)])


@dataclass(frozen=True, kw_only=True)
class LimitedCommand(ManifestCommand, CountingCommand):
    """A command that knows the capacities of a pack, and what becomes of records that exceed them."""

    max_tokens: int = PackingConfig().max_tokens
    """Tokens of a pack; the InternVL2.5 recipes have 16384."""
    max_tiles: int = PackingConfig().max_tiles
    """Tiles of a pack."""
    over_long: OverLong = "error"
    """Longer records: error, drop, fewer_tiles or split."""

    def limits(self, kind: type[Of], **more: Any) -> Of:
        """These capacities as one value, with what else it holds."""
        return kind(max_tokens=self.max_tokens, max_tiles=self.max_tiles, over_long=self.over_long, **more)
