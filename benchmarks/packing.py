"""Packs, fill and planning speed: ours against the official buffer algorithm and first fit.

    python benchmarks/packing.py [--samples 20000] [--seed 0] [--token-steps 256]

Eight distributions of lengths at 16,384 tokens and 48 tiles; the last three use up tokens and tiles at once.
Ours plans the whole epoch at once, and through the loader's window of its default size. The official
algorithm is written from its description (docs/facts/training.md: 48 tiles, 16,384 tokens, 20 buffers, no
overflow), once as it stands, with the dummy tile of a text sample, and once without it, which is its better
case. The bound is proven for the lengths at hand (packing_workload.py). "Unevenness" is the variance of mean
sample length from pack to pack, and of the share of samples with many tiles, beside that of random packs
(next fit of a random order, five times). Times are processor time of one core, best of three. The baselines
and the bound are first held against cases worked out by hand. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from packing_workload import (
    DISTRIBUTIONS,
    MAX_TILES,
    MAX_TOKENS,
    TOKEN_STEPS,
    dual_feasible,
    lower_bound,
)

from tessera.chat.encoder import Lengths
from tessera.packing.config import PackingConfig
from tessera.packing.measure import Measured, PackItem
from tessera.packing.mix import Draw, MixState
from tessera.packing.planning.balance import Work
from tessera.packing.planning.buffers import buffer_packs
from tessera.packing.planning.plan import plan_packs
from tessera.packing.planning.window import Window, WindowState

Sizes = NDArray[np.int64]
Packs = list[list[int]]
Planner = Callable[[Sizes, Sizes], Packs]

GAP_GOAL, SPEED_GOAL, UNEVEN_GOAL = 1.5, 20_000, 1.2
RANDOM_ORDERS = 5


def ours(tokens: Sizes, tiles: Sizes) -> Packs:
    """The whole epoch as one window."""
    return plan_packs(tokens, tiles, MAX_TOKENS, MAX_TILES)


class Windowed:
    """What the loader does with indexed sources, the look-up of lengths left out."""

    def prepare(self, tokens: Sizes, tiles: Sizes) -> None:
        """The measured draws."""
        self.start = MixState(0, (0,))
        self.draws = [Draw(0, number, number, self.start) for number in range(len(tokens))]
        sizes = zip(tokens.tolist(), tiles.tolist(), strict=True)
        self.items = [
            Measured(d, (PackItem(d, Lengths(*pair)),)) for d, pair in zip(self.draws, sizes, strict=True)
        ]

    def __call__(self, tokens: Sizes, tiles: Sizes) -> Packs:
        config = PackingConfig(max_tokens=MAX_TOKENS, max_tiles=MAX_TILES, epochs=1)
        in_order = InOrder(self.draws, self.start)
        window = Window(lambda: in_order, self.measured, config, packs_per_step=1, work=Work(), indexed=True)
        steps = (step for planned in window.rounds(WindowState(self.start)) for step in planned.steps)
        return [[item.draw.index for item in pack] for step in steps for pack in step]

    def measured(self, draw: Draw) -> Measured:
        """Its length, as an index gives it."""
        return self.items[draw.index]


class InOrder:
    """Stands in for the mixer: every sample once."""

    def __init__(self, draws: list[Draw], state: MixState) -> None:
        self._draws, self.state = draws, state

    def __iter__(self) -> Iterator[Draw]:
        return iter(self._draws)


def official(tokens: Sizes, tiles: Sizes) -> Packs:
    """docs/facts/training.md; the planner keeps it as the least that it must reach."""
    packs = buffer_packs(tokens.tolist(), tiles.tolist(), MAX_TOKENS, MAX_TILES, fewer_than=len(tokens) + 1)
    assert packs is not None
    return packs


def official_with_dummy_tiles(tokens: Sizes, tiles: Sizes) -> Packs:
    """As it stands: a text sample carries one dummy picture (docs/facts/data.md), which takes a tile."""
    return official(tokens, np.maximum(tiles, 1))


def first_fit(tokens: Sizes, tiles: Sizes) -> Packs:
    """The first open pack with room for the sample; a pack too full for any sample is closed."""
    least, smallest = int(tokens.min()), int(tiles.min())
    rooms: list[list[int]] = []  # tokens and tiles left, number of the pack
    packs: Packs = []
    for number, (size, count) in enumerate(zip(tokens.tolist(), tiles.tolist(), strict=True)):
        room = next((r for r in rooms if size <= r[0] and count <= r[1]), None)
        if room is None:
            room = [MAX_TOKENS, MAX_TILES, len(packs)]
            rooms.append(room)
            packs.append([])
        room[0] -= size
        room[1] -= count
        packs[room[2]].append(number)
        if room[0] < least or room[1] < smallest:
            rooms.remove(room)
    return packs


def next_fit(order: Sizes, tokens: Sizes, tiles: Sizes) -> Packs:
    """A new pack for every sample that doesn't fit the last: independent draws."""
    packs: Packs = [[]]
    token_room, tile_room = MAX_TOKENS, MAX_TILES
    for number in order.tolist():
        size, count = int(tokens[number]), int(tiles[number])
        if size > token_room or count > tile_room:
            packs.append([])
            token_room, tile_room = MAX_TOKENS, MAX_TILES
        packs[-1].append(number)
        token_room, tile_room = token_room - size, tile_room - count
    return packs


def unevenness(packs: Packs, at_random: list[Packs], values: NDArray[np.float64]) -> float:
    """Variance of the packs' means beside that of random packs; the last pack of each may be a rest."""

    def variance(made: Packs) -> float:
        return float(np.var([values[pack].mean() for pack in made[:-1]]))

    theirs = float(np.mean([variance(made) for made in at_random]))
    return variance(packs) / theirs if theirs else 1.0


PLANNERS: dict[str, Planner] = {
    "ours, whole epoch": ours,
    "ours, default window": Windowed(),
    "official buffers": official_with_dummy_tiles,
    "official, no dummy tiles": official,
    "first fit": first_fit,
}


def measure(
    plan: Planner, tokens: Sizes, tiles: Sizes, repeats: int, at_random: list[Packs]
) -> dict[str, float]:
    """Plan, check that nothing is lost and nothing overfull, and take the figures."""
    seconds = []
    if isinstance(plan, Windowed):
        plan.prepare(tokens, tiles)
    for _ in range(repeats):
        started = time.process_time()
        packs = plan(tokens, tiles)
        seconds.append(time.process_time() - started)
    assert sorted(number for pack in packs for number in pack) == list(range(len(tokens))), "samples lost"
    for pack in packs:
        assert tokens[pack].sum() <= MAX_TOKENS and tiles[pack].sum() <= MAX_TILES, "a pack is overfull"
    slots = len(packs) * MAX_TOKENS
    return {
        "packs": len(packs),
        "token_fill": float(tokens.sum() / slots),
        "tile_fill": float(tiles.sum() / (len(packs) * MAX_TILES)),
        "padding": 1 - float(tokens.sum() / slots),
        "uneven_lengths": unevenness(packs, at_random, tokens.astype(float)),
        "uneven_kinds": unevenness(packs, at_random, (tiles > np.median(tiles)).astype(float)),
        "samples_per_second": len(tokens) / max(min(seconds), 1e-9),
    }


def check_by_hand() -> None:
    """The baselines do what the facts describe, and the bounds of known cases are right."""
    tokens, tiles = np.array([100] * 5), np.array([40, 30, 9, 10, 8])
    # 48 tiles leave at once; a sample goes to the fullest buffer by tiles that has room.
    for plan in (official, first_fit):
        assert plan(tokens, tiles) == [[0, 4], [1, 2], [3]], plan.__name__
    tokens = np.full(10, 100)
    assert lower_bound(tokens, np.full(10, 25))[0] == 10, "two of 25 tiles don't share 48"
    assert lower_bound(tokens, np.full(10, 24))[0] == 5
    assert abs(dual_feasible(np.full(10, 25), 48) - 10) < 1e-9


def run(samples: int, seed: int, repeats: int, token_steps: int) -> dict[str, dict[str, object]]:
    """All planners on all distributions."""
    results: dict[str, dict[str, object]] = {}
    for name, draw in DISTRIBUTIONS.items():
        tokens, tiles = draw(np.random.default_rng(seed), samples)
        bound, proof = lower_bound(tokens, tiles, token_steps)
        orders = [np.random.default_rng(number).permutation(samples) for number in range(RANDOM_ORDERS)]
        at_random = [next_fit(order, tokens, tiles) for order in orders]
        figures = {
            label: measure(plan, tokens, tiles, repeats, at_random) for label, plan in PLANNERS.items()
        }
        for row in figures.values():
            row["over_bound_percent"] = 100 * (row["packs"] / bound - 1)
        results[name] = {"bound": bound, "proof": proof, "planners": figures}
    return results


def table(results: dict[str, dict[str, object]]) -> str:
    """The figures as a page for results/."""
    columns = (
        "packs",
        "over the bound",
        "tokens",
        "tiles",
        "empty slots",
        "uneven lengths, kinds",
        "samples/s",
    )
    lines = [f"| lengths | planner | {' | '.join(columns)} |", "|" + " --- |" * (len(columns) + 2)]
    for name, result in results.items():
        lines.append(f"| {name} | *bound: {result['proof']}* | {result['bound']:,} | | | | | | |")
        for label, row in result["planners"].items():
            fills = f"{row['token_fill']:.1%} | {row['tile_fill']:.1%} | {row['padding']:.1%}"
            gap, speed = f"{row['over_bound_percent']:.2f} %", f"{row['samples_per_second']:,.0f}"
            uneven = f"{row['uneven_lengths']:.2f}, {row['uneven_kinds']:.2f}"
            lines.append(f"| {name} | {label} | {row['packs']:,} | {gap} | {fills} | {uneven} | {speed} |")
    return "\n".join(lines)


def goals(results: dict[str, dict[str, object]]) -> dict[str, bool]:
    """What the issue asks for, on every distribution."""
    rows = [result["planners"] for result in results.values()]
    mine = [row[label] for row in rows for label in ("ours, whole epoch", "ours, default window")]
    theirs = ("official buffers", "official, no dummy tiles")
    return {
        "within 1.5 % of the bound": all(row["over_bound_percent"] <= GAP_GOAL for row in mine),
        "never more packs than the official algorithm": all(
            row[label]["packs"] <= row[their]["packs"]
            for row in rows
            for label in ("ours, whole epoch", "ours, default window")
            for their in theirs
        ),
        "packs as even as random ones, to 1.2": all(
            row[key] <= UNEVEN_GOAL for row in mine for key in ("uneven_lengths", "uneven_kinds")
        ),
        "20,000 samples/s per core": all(row["samples_per_second"] >= SPEED_GOAL for row in mine),
    }


def main() -> None:
    """Run, print the table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--token-steps", type=int, default=TOKEN_STEPS, help="fewer: a coarser bound, sooner")
    given = parser.parse_args()
    check_by_hand()
    results = run(given.samples, given.seed, given.repeats, given.token_steps)
    print(table(results))
    for goal, reached in goals(results).items():
        print(f"{'reached' if reached else 'MISSED'}: {goal}")
    print(json.dumps({"samples": given.samples, "goals": goals(results), "results": results}))


if __name__ == "__main__":
    main()
