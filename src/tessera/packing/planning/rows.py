"""Steps of packs dealt to ranks: one pack each in a row, row after row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tessera.packing.measure import PackItem
from tessera.packing.planning.balance import Work, deal
from tessera.packing.planning.window import PackItems, Round, WindowState


@dataclass(frozen=True)
class Share:
    """Which of how many ranks this process is."""

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ValueError(f"rank {self.rank} of {self.world} ranks: give a rank from 0 to world - 1")


@dataclass(frozen=True)
class RowPosition:
    """Behind so many steps of the round that begins at `start`, and so many rows of the next step."""

    start: WindowState
    steps: int = 0
    rows: int = 0


@dataclass(frozen=True)
class PackRow:
    """One pack for each rank: this rank's (empty when none is left for it), and those of the others.

    `news` is the round when its first row comes: what was skipped while it was planned counts from there.
    """

    mine: tuple[PackItem, ...]
    others: tuple[PackItems, ...]
    after: RowPosition
    news: Round | None

    @property
    def ends_step(self) -> bool:
        """Whether a step is complete with this row."""
        return self.after.rows == 0


def deal_rows(rounds: Iterable[Round], position: RowPosition, share: Share, work: Work) -> Iterator[PackRow]:
    """All rows behind a position in the first of the rounds. A round without packs gives one empty row."""
    steps, rows = position.steps, position.rows
    for planned in rounds:
        # An empty row carries what was skipped, and moves the position on.
        if not planned.steps and not steps:
            yield PackRow((), (), RowPosition(planned.start, 1), planned)
        for step in range(steps, len(planned.steps)):
            yield from _deal_step(planned, step, share, work)[rows:]
            rows = 0
        steps = 0


def _deal_step(planned: Round, step: int, share: Share, work: Work) -> list[PackRow]:
    packs = planned.steps[step]
    shares = deal([work.of(item.lengths for item in pack) for pack in packs], share.world)
    depth = max(map(len, shares))
    made = []
    for number in range(depth):
        row = [packs[own[number]] if number < len(own) else [] for own in shares]
        last = number + 1 == depth
        after = RowPosition(planned.start, step + last, 0 if last else number + 1)
        others = tuple(pack for rank, pack in enumerate(row) if pack and rank != share.rank)
        made.append(PackRow(tuple(row[share.rank]), others, after, None if step or number else planned))
    return made
