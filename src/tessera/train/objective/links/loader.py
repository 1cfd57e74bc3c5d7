"""Packs with the masks of their samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from tessera.packing.loader import PackLoader
from tessera.train.objective.links.targets import LinkBatch, MaskTable


class LinkLoader:
    """A `PackLoader` whose packs come with masks; position and statistics are its own."""

    def __init__(self, packs: PackLoader, table: MaskTable) -> None:
        self._packs, self._table = packs, table

    @property
    def stats(self) -> Any:
        """Those of the packs."""
        return self._packs.stats

    @property
    def keys(self) -> Sequence[str]:
        """Samples of the step given last."""
        return self._packs.keys

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LinkBatch:
        return self._table.attach(next(self._packs))

    def next_step(self) -> list[LinkBatch]:
        """This rank's batches of the next step."""
        return [self._table.attach(pack) for pack in self._packs.next_step()]

    def state_dict(self) -> dict[str, Any]:
        """The position."""
        return self._packs.state_dict()

    def load_state_dict(self, state: dict[str, Any], changed_data: bool = False) -> None:
        """Go on from a saved position."""
        self._packs.load_state_dict(state, changed_data)

    def close(self) -> None:
        """Stop workers."""
        self._packs.close()
