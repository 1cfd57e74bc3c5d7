"""Where steps are recorded, answers go that way and prompts the other: rows come back in order.

The recording itself needs a device (tests/gpu); here a stand-in computes what it would.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tessera.engine.core.graphs import SIZES, Newest
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.runner import Runner
from tessera.engine.engine import Engine
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Paged
from tests.engine import tiny
from tests.engine.core.test_interleaving import Run, engine_of
from tests.engine.test_long_contexts import longrope


class ByHand:
    """One flat step for each call."""

    def __init__(self, model: VLM, runner: Runner, most: int) -> None:
        self.model, self.runner, self.most = model, runner, most
        self.sizes: list[int] = []

    def run(self, newest: Sequence[Newest]) -> torch.Tensor:
        """As `DecodeGraphs.run`."""
        self.sizes.append(len(newest))
        layout = Paged(
            (1,) * len(newest), tuple(n.place for n in newest), tuple(tuple(n.table) for n in newest)
        )
        ids = torch.tensor([n.token for n in newest])
        places = torch.tensor([n.position for n in newest])
        return self.model.logits(self.model(ids, layout, places, cache=self.runner.cache))


@pytest.mark.parametrize("most, guesses", [(1, 0), (3, 0), (9, 0), (9, 4)])
def test_answers_beside_prompts(most: int, guesses: int) -> None:
    run = Run(engine_of(blocks=60, tokens=24, guesses=guesses))
    run.ask(5, 1, 1.0, False)
    run.step()
    runner = run.engine.loop.runner
    assert runner is not None and runner.graphs is None
    stand_in = ByHand(run.engine.model, runner, most)
    runner.graphs = stand_in  # type: ignore[assignment]
    for number in range(9):
        run.ask(number, 18, 0.25 if number % 2 else 1.0, number % 3 == 0)
        run.step(number % 4)
    run.step()
    run.check()
    assert stand_in.sizes and max(stand_in.sizes) <= most


def test_sizes_ascend_and_hold_all() -> None:
    assert list(SIZES) == sorted(set(SIZES))
    assert SIZES[0] == 1


def test_what_can_not_be_recorded_is_refused_at_the_start() -> None:
    recording = EngineLimits(record_steps=True)
    with pytest.raises(
        ValueError, match="record_steps = True: it lies on cpu: a CUDA device .* leave it off"
    ):
        Engine(tiny.model(), tiny.tokenizer(), frozenset(), limits=recording)
    with pytest.raises(ValueError, match="record_steps = True: the model's angles depend on how long"):
        Engine(longrope(), tiny.tokenizer(), frozenset(), limits=recording)
