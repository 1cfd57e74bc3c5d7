"""Draws to items: how many tokens and tiles each will have, and what the over-long policy makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tessera.chat.encoder import Lengths
from tessera.chat.message import Conversation
from tessera.packing.config import Limits
from tessera.packing.delivery import DrawTally
from tessera.packing.index import FAULTY, SourceIndex
from tessera.packing.mix import Draw
from tessera.packing.pack import Sample
from tessera.packing.samples.clips import draw_frames
from tessera.packing.samples.encode import DrawEncoder
from tessera.packing.samples.overlong import WHOLE, Cut, fewer_tiles, split_turns
from tessera.records.faults import DataError, Reason, RecordFault


class ItemKey(NamedTuple):
    """What finds an item again: source, record, how often the source was drawn before, part of the record."""

    source: int
    record: int
    visit: int
    part: int


@dataclass(frozen=True)
class PackItem:
    """One sample to be packed: where it comes from and how long it is.

    `part` counts the samples of a split record from 0. `sample` is there when the length was known only
    after encoding.
    """

    draw: Draw
    lengths: Lengths
    part: int = 0
    cut: Cut = WHOLE
    sample: Sample | None = None

    @property
    def key(self) -> ItemKey:
        """The item by numbers."""
        return ItemKey(self.draw.source, self.draw.index, self.draw.visit, self.part)


@dataclass(frozen=True)
class Measured:
    """What a draw gives: items, or faults; and what the over-long policy did."""

    draw: Draw
    items: tuple[PackItem, ...] = ()
    faults: tuple[RecordFault, ...] = ()
    tally: DrawTally = field(default_factory=DrawTally)


class Measurer:
    """A pure function of the draw, picklable. Indexed sources are looked up, others are encoded."""

    def __init__(self, encode: DrawEncoder, indexes: Sequence[SourceIndex | None], limits: Limits) -> None:
        self._encode, self._indexes, self._limits = encode, tuple(indexes), limits

    def __call__(self, draw: Draw) -> Measured:
        """Items of one draw, or its faults."""
        try:
            return self._measured(draw)
        except DataError as error:
            return Measured(draw, faults=error.faults, tally=DrawTally(skipped=1))

    def _measured(self, draw: Draw) -> Measured:
        index, sample = self._indexes[draw.source], None
        if index is None:
            sample = self._encode.sample(draw)
            lengths = sample.lengths
        elif index.flags[draw.index] & FAULTY:
            raise self._why_faulty(draw)
        else:
            lengths = self._look_up(draw, index)
        if self._limits.hold(lengths):
            return Measured(draw, (PackItem(draw, lengths, sample=sample),))
        return self._too_long(draw, lengths, with_samples=sample is not None)

    def _look_up(self, draw: Draw, index: SourceIndex) -> Lengths:
        """Lengths from the index, with the number of frames that this visit draws."""
        tokens, tiles = int(index.tokens[draw.index]), int(index.tiles[draw.index])
        entry = self._encode.sources[draw.source]
        for number in range(index.clips[draw.index]):
            frames, _ = draw_frames(entry, self._encode.seed, draw.visit, number)
            tokens += int(index.frame_tokens[frames])
            tiles += frames - 1
        answers = int(index.chosen[draw.index]), int(index.rejected[draw.index])
        return Lengths(tokens, tiles, int(index.trained[draw.index]), answers if answers[0] else ())

    def _why_faulty(self, draw: Draw) -> DataError:
        """The faults that the index didn't keep."""
        try:
            with self._encode.blamed(draw):
                self._encode.encoder(draw).measure(self._encode.conversation(draw))
        except DataError as error:
            return error
        detail = "faulty when it was indexed, sound now; touch its annotation file to index it again"
        return self._encode.fault(draw, Reason.UNUSABLE, detail)

    def _too_long(self, draw: Draw, lengths: Lengths, with_samples: bool) -> Measured:
        policy = self._limits.over_long
        if policy == "error":
            detail = self._limits.excess(lengths.tokens, lengths.tiles, lengths.branches)
            raise self._encode.fault(draw, Reason.TOO_LONG, detail)
        if policy == "drop":
            return Measured(draw, tally=DrawTally(dropped=1))
        cuts, lost = self._cuts(draw)
        items = tuple(
            PackItem(draw, length, part, cut, self._encode.sample(draw, cut) if with_samples else None)
            for part, (cut, length) in enumerate(cuts)
        )
        shrunk = int(policy == "fewer_tiles" and bool(items))
        return Measured(draw, items, tally=DrawTally(dropped=lost, shrunk=shrunk, split=int(len(items) > 1)))

    def _cuts(self, draw: Draw) -> tuple[list[tuple[Cut, Lengths]], int]:
        """How the policy makes a record fit, and how much of it is lost."""
        encoder = self._encode.encoder(draw)

        def fits(conversation: Conversation) -> Lengths | None:
            lengths = encoder.measure(conversation)
            return lengths if self._limits.hold(lengths) else None

        conversation = self._encode.conversation(draw)
        if self._limits.over_long == "split":
            return split_turns(conversation, encoder, fits)
        found = fewer_tiles(conversation, encoder, fits)
        return ([found], 0) if found else ([], 1)


def mismatch(planned: Lengths, found: Lengths) -> str | None:
    """How a sample differs from what was planned, or None: its files changed after they were indexed."""
    if (planned.tokens, planned.tiles) == (found.tokens, found.tiles):
        return None
    return (
        f"indexed with {planned.tokens} tokens and {planned.tiles} tiles, now {found.tokens} and "
        f"{found.tiles}: its pictures changed; touch the annotation file to index it again"
    )
