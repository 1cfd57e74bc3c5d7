"""Planned packs to packs: what a worker does, and where pixels of indexed sources are read."""

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.packing.measure import PackItem, mismatch
from tessera.packing.pack import Pack, Sample, collate
from tessera.packing.samples.encode import DrawEncoder
from tessera.records.faults import DataError, Reason, RecordFault


@dataclass(frozen=True)
class Decoded:
    """A pack, or None when no sample could be decoded; numbers of the samples that failed."""

    pack: Pack | None
    failed: tuple[int, ...] = ()
    faults: tuple[RecordFault, ...] = ()


def decode_pack(encode: DrawEncoder, items: Sequence[PackItem]) -> Decoded:
    """The items of a pack decoded and laid end to end; faulty samples are left out and named."""
    samples: list[Sample] = []
    failed: list[int] = []
    faults: list[RecordFault] = []
    for number, item in enumerate(items):
        try:
            samples.append(item.sample or _decode(encode, item))
        except DataError as error:
            failed.append(number)
            faults += error.faults
    return Decoded(collate(samples) if samples else None, tuple(failed), tuple(faults))


def _decode(encode: DrawEncoder, item: PackItem) -> Sample:
    """The sample of an item, checked against what was planned."""
    sample = encode.sample(item.draw, item.cut)
    if changed := mismatch(item.lengths, sample.lengths):
        raise encode.fault(item.draw, Reason.UNUSABLE, changed)
    return sample
