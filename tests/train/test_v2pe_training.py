"""V2PE in training: positions by the rule, draws by the seed alone; the model remembers its increment."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tessera.chat.positions import STRIDES, v2pe_positions
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.chat_model import ChatModel
from tessera.engine.engine import Engine
from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack
from tessera.records.readers.playground import PlaygroundReader
from tessera.records.source import WeightedSource
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.recipe import Start
from tessera.train.setup import set_up
from tests.engine import tiny as asked
from tests.train import tiny

CONFIG = PackingConfig(max_tokens=600, max_tiles=32, lookahead=6, v2pe="random")


def _loader(config: PackingConfig = CONFIG) -> PackLoader:
    learner_encoder = asked.family().encoder(asked.tokenizer())
    blind = tiny.PICTURES.model_copy(update={"name": "blind", "mode": "blind"})
    sources = [WeightedSource(PlaygroundReader(spec)) for spec in (tiny.PICTURES, blind)]
    return PackLoader(sources, learner_encoder, config)


def _samples(pack: Pack) -> list[tuple[np.ndarray, np.ndarray]]:
    assert pack.positions is not None
    places = pack.positions.split(pack.lengths)
    return [(i.numpy(), p.numpy()) for i, p in zip(pack.ids.split(pack.lengths), places, strict=True)]


def _increments(ids: np.ndarray, places: np.ndarray) -> list[float]:
    """The step behind every `<img>`."""
    context = asked.tokenizer().token_id("<IMG_CONTEXT>")
    first = np.flatnonzero((ids[1:] == context) & (ids[:-1] != context)) + 1
    return [float(places[at] - places[at - 1]) for at in first]


def test_random_increments_follow_the_rule_and_differ_by_picture() -> None:
    context, seen, mixed = asked.tokenizer().token_id("<IMG_CONTEXT>"), set(), 0
    for pack in islice(_loader(), 30):
        for ids, places in _samples(pack):
            increments = _increments(ids, places)
            assert places.dtype == np.float32
            assert places.tolist() == v2pe_positions(ids, context, increments).tolist()
            seen |= set(increments)
            mixed += len(set(increments)) > 1
    assert seen == {stride / 256 for stride in STRIDES} and mixed


def test_draws_are_the_same_after_a_resume_and_with_workers() -> None:
    whole = [pack.positions for pack in islice(_loader(), 8)]
    first = _loader()
    list(islice(first, 3))
    second = _loader()
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b.positions) for a, b in zip(whole[3:], second, strict=False))
    with _loader(CONFIG.model_copy(update={"workers": 2})) as spread:
        assert all(torch.equal(a, b.positions) for a, b in zip(whole, spread, strict=False))
    other = next(_loader(CONFIG.model_copy(update={"seed": 1})))
    assert not torch.equal(whole[0], other.positions)


def test_a_visit_draws_anew() -> None:
    """One scene for ever: its increments change from visit to visit."""
    source = WeightedSource(PlaygroundReader(tiny.PICTURES.model_copy(update={"count": 1})))
    loader = PackLoader([source], asked.encoder(), CONFIG)
    drawn = [_increments(*sample)[0] for pack in islice(loader, 4) for sample in _samples(pack)]
    assert len(set(drawn)) > 3


def test_the_objective_gives_positions_to_the_model() -> None:
    """An increment of 1 is the usual loss to the bit, another one is another loss."""
    model, losses = tiny.model().eval(), {}
    for v2pe in (None, 1.0, 1 / 4):
        recipe = tiny.recipe()
        packing = recipe.stages[0].packing.model_copy(update={"v2pe": v2pe})
        stage = recipe.stages[0].model_copy(update={"packing": packing})
        loader = set_up(recipe.model_copy(update={"stages": (stage,)})).loader(0)
        losses[v2pe] = ConversationObjective().loss_sum(model, next(iter(loader)), tiny.CPU).item()
    assert losses[None] == losses[1.0] != losses[1 / 4]


@pytest.mark.parametrize("layout", ["tessera", "official", "transformers"])
def test_the_model_remembers_its_increment(layout: LayoutName, tmp_path: Path) -> None:
    family = asked.family().model_copy(update={"visual_increment": 1 / 16})
    save_checkpoint(tmp_path, asked.model(), family, asked.tokenizer(), layout)
    loaded = load_checkpoint(tmp_path)
    assert loaded.family.visual_increment == 1 / 16
    picture, engine = asked.picture(2, 60, 30), Engine.of(loaded)
    model = ChatModel(loaded)
    assert model.prompt("what?", picture).visual_increment == 1 / 16
    assert model.prompt("what?", picture, visual_increment=1.0).visual_increment == 1.0
    prompt = asked.prompt("blue", picture)
    assert engine.generate([prompt]) == engine.generate([prompt], visual_increment=1 / 16)
    assert engine.generate([prompt]) != engine.generate([prompt], visual_increment=1.0)


def test_a_run_says_the_increment() -> None:
    setup = set_up(tiny.recipe(start=Start(family="nano_model", visual_increment=1 / 4)))
    assert setup.learner.family.visual_increment == 1 / 4


@pytest.mark.parametrize("make", [lambda v: PackingConfig(v2pe=v), lambda v: Start(visual_increment=v)])
def test_untrained_increments_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"0\.3: give 1 \(ordinary positions\) or 1/2"):
        make(0.3)  # type: ignore[operator]
