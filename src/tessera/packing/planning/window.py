"""The global plan: draws, round by round, into steps of packs; a pure function of seed and state.

A round fills a window with measured draws, plans all of it, and lets the fuller two thirds go;
the rest waits for better company. The item that waited longest is in the first pack: none waits for ever.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tessera.packing.config import PackingConfig
from tessera.packing.delivery import DrawTally
from tessera.packing.measure import ItemKey, Measured, PackItem
from tessera.packing.mix import Draw, Mixer, MixState
from tessera.packing.planning.balance import Work, alike
from tessera.packing.planning.plan import plan_packs
from tessera.records.faults import DataError, RecordFault
from tessera.runtime.seeds import derive_seed
from tessera.runtime.workers import map_in_workers

FEWEST_SKIPPED = 100
"""So many faulty records are skipped before their share is looked at."""
MOST_WITHOUT_SAMPLE = 2000
"""So many records in a row without a sample stop a run that has no end of its own: it would never go on."""
SAMPLES_AHEAD = 16
"""Samples that each worker encodes ahead where lengths come only with them."""

PackItems = list[PackItem]


@dataclass(frozen=True)
class WindowState:
    """Where a round begins: the mixture, and the items that wait, or their keys when it was saved."""

    mix: MixState
    waiting: tuple[PackItem | ItemKey, ...] = ()

    @property
    def keys(self) -> tuple[ItemKey, ...]:
        """What finds the waiting items again. Made when a state is saved: rounds are many, savings few."""
        return tuple(item.key if isinstance(item, PackItem) else item for item in self.waiting)


@dataclass
class Round:
    """Steps of packs; what was skipped or cut while they were planned."""

    start: WindowState
    steps: list[list[PackItems]] = field(default_factory=list)
    tally: DrawTally = field(default_factory=DrawTally)
    faults: dict[RecordFault, None] = field(default_factory=dict)


class Window:
    """Plans rounds from any state. `mixer` makes a mixer at its start, `measure` turns draws to items.

    indexed: lengths are looked up; else measuring means encoding, which workers do, a shorter way ahead.
    """

    def __init__(
        self,
        mixer: Callable[[], Mixer],
        measure: Callable[[Draw], Measured],
        config: PackingConfig,
        packs_per_step: int,
        work: Work,
        indexed: bool,
    ) -> None:
        self._mixer, self._measure, self._config, self._work = mixer, measure, config, work
        self._per_step = packs_per_step
        self._size = config.window if indexed else config.lookahead
        self._workers = 0 if indexed else config.workers
        self._draws = self._skipped = 0

    def rounds(self, state: WindowState) -> Iterator[Round]:
        """All rounds from a state on, until the sources are used up."""
        mixer = self._mixer()
        mixer.state = mix = state.mix
        stream = map_in_workers(self._measure, mixer, self._workers, SAMPLES_AHEAD)
        waiting = self._restore(state)
        ended = False
        while not ended:
            planned = Round(WindowState(mix, tuple(waiting)))
            size, packs = self._size, list[list[int]]()
            # One pack more than a step takes, or nothing could wait for better company.
            while not ended and len(packs) <= self._per_step:
                last = self._fill(stream, waiting, size, planned)
                mix, ended, size = last or mix, len(waiting) < size, 2 * size
                tokens = [item.lengths.tokens for item in waiting]
                tiles = [item.lengths.tiles for item in waiting]
                seed = derive_seed("plan", self._config.seed, mix.draws, len(waiting))
                packs = plan_packs(tokens, tiles, self._config.max_tokens, self._config.max_tiles, seed)
            # At the end there is nothing to wait for.
            chosen = packs if ended else self._fullest(packs, tokens, tiles)
            planned.steps = self._order([[waiting[n] for n in pack] for pack in chosen], planned.start)
            gone = {number for pack in chosen for number in pack}
            waiting = [item for number, item in enumerate(waiting) if number not in gone]
            yield planned

    def _fill(
        self, stream: Iterator[Measured], waiting: list[PackItem], size: int, planned: Round
    ) -> MixState | None:
        """Draw until the window is full or the sources end; the mixture after the last draw, if any."""
        after, barren = None, 0
        while len(waiting) < size and (measured := next(stream, None)) is not None:
            after = measured.draw.after
            self._draws += 1
            planned.tally.add(measured.tally)
            if measured.faults:
                self._skip(measured)
                planned.faults.update(dict.fromkeys(measured.faults))
            waiting += measured.items
            barren = 0 if measured.items else barren + 1
            # A finite source ends by itself; repeated ones would be drawn for ever.
            if self._config.epochs is None and barren >= MOST_WITHOUT_SAMPLE:
                raise ValueError(
                    f"{barren} records in a row gave no sample of at most {self._config.max_tokens} tokens "
                    f"and {self._config.max_tiles} tiles; raise max_tokens or max_tiles, or see `tessera "
                    "data check`"
                )
        return after

    def _skip(self, measured: Measured) -> None:
        """Raise DataError when the policy is to stop, or when too many records are faulty."""
        self._skipped += 1
        # A share of few draws says nothing: one fault among the first three is no sign.
        most = max(FEWEST_SKIPPED, self._config.most_skipped * self._draws)
        if self._config.on_fault == "error" or self._skipped > most:
            raise DataError(measured.faults)

    def _fullest(self, packs: list[list[int]], tokens: list[int], tiles: list[int]) -> list[list[int]]:
        """Two thirds of the packs in whole steps: the first, and the fullest of the others."""
        step = self._per_step
        count = -(-max(1, len(packs) * 2 // 3) // step) * step

        def fill(pack: list[int]) -> float:
            by_tokens = sum(map(tokens.__getitem__, pack)) / self._config.max_tokens
            by_tiles = sum(map(tiles.__getitem__, pack)) / max(1, self._config.max_tiles)
            return max(by_tokens, by_tiles)

        # The first holds the item that waited longest, and leaves however empty it is.
        return [packs[0], *sorted(packs[1:], key=fill, reverse=True)[: count - 1]]

    def _order(self, packs: list[PackItems], start: WindowState) -> list[list[PackItems]]:
        """Packs in random order, or steps of similar packs in random order."""
        rng = random.Random(derive_seed("round", self._config.seed, start.mix.draws, len(start.waiting)))
        step = self._per_step
        if self._config.similar_steps:
            groups = alike([self._work.of(item.lengths for item in pack) for pack in packs], step)
            whole = len(packs) // step
            # An unfilled step stays last, where ranks without a pack have nothing more to wait for.
            order = rng.sample(groups[:whole], whole) + groups[whole:]
            return [[packs[number] for number in group] for group in order]
        shuffled = rng.sample(packs, len(packs))
        return [shuffled[first : first + step] for first in range(0, len(shuffled), step)]

    def _restore(self, state: WindowState) -> list[PackItem]:
        """The waiting items of a state, measured again."""
        items: list[PackItem] = []
        known: dict[tuple[int, int, int], Measured] = {}
        for source, index, visit, part in state.keys:
            key = (source, index, visit)
            if key not in known:
                # Parts of a record stand side by side, so only its own measurement is kept.
                known = {key: self._measure(Draw(source, index, visit, state.mix))}
            if known[key].faults:
                self._skip(known[key])
            items += [item for item in known[key].items if item.part == part]
        return items
