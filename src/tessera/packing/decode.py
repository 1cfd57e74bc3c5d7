"""Planned packs to packs: what a worker does, and where pixels of indexed sources are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.packing.measure import Item, mismatch
from tessera.packing.pack import Pack, collate
from tessera.packing.samples.encode import DrawEncoder, Outcome
from tessera.records.faults import Reason, RecordFault


@dataclass(frozen=True)
class Decoded:
    """A pack, or None when no sample could be decoded; numbers of the samples that failed."""

    pack: Pack | None
    failed: tuple[int, ...] = ()
    faults: tuple[RecordFault, ...] = ()


class PackDecoder:
    """Decodes the items of a pack and lays them end to end; picklable."""

    def __init__(self, encode: DrawEncoder) -> None:
        self._encode = encode

    def __call__(self, items: Sequence[Item]) -> Decoded:
        """One pack; faulty samples are left out and named."""
        outcomes = [self._decode(item) for item in items]
        samples = [outcome.sample for outcome in outcomes if outcome.sample is not None]
        failed = tuple(number for number, outcome in enumerate(outcomes) if outcome.sample is None)
        faults = tuple(fault for outcome in outcomes for fault in outcome.faults)
        return Decoded(collate(samples) if samples else None, failed, faults)

    def _decode(self, item: Item) -> Outcome:
        """The sample that came with the item, or a new one, checked against what was planned."""
        if item.sample is not None:
            return Outcome(item.sample)
        outcome = self._encode.sample(item.draw, item.cut)
        if outcome.sample is not None and (changed := mismatch(item, outcome.sample)):
            return Outcome(None, (self._encode.fault(item.draw, Reason.UNUSABLE, changed),))
        return outcome
