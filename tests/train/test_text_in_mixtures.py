"""Text beside pictures: token shares of a stage, and text alone never runs the ViT."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from tessera.train.objective.conversation import ConversationObjective
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tests.train import tiny

TEXT = tiny.PICTURES.model_copy(update={"name": "text", "mode": "blind"})


def _recipe(text: float | None, pictures: float | None) -> Recipe:
    sources = (
        TEXT.model_copy(update={"token_share": text}),
        tiny.PICTURES.model_copy(update={"token_share": pictures}),
    )
    stage = tiny.recipe().stages[0].model_copy(update={"sources": sources})
    return tiny.recipe(stages=(stage,))


def test_a_stage_keeps_its_shares() -> None:
    """1 : 3 by tokens, as InternVL3 was pre-trained."""
    loader = set_up(_recipe(1.0, 3.0)).loader(0)
    list(islice(loader, 60))
    seen = loader.stats.seen
    assert seen["text"].tokens / loader.stats.tokens == pytest.approx(0.25, abs=0.03)
    assert seen["text"].tiles == 0 < seen["pictures"].tiles


def test_shares_are_for_all_sources_or_for_none() -> None:
    with pytest.raises(ValueError, match="token_share is missing for the source with 'pictures'"):
        set_up(_recipe(1.0, None))


def test_text_alone_never_runs_the_vit(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _recipe(None, None).stages[0].model_copy(update={"sources": (TEXT,)})
    setup = set_up(tiny.recipe(stages=(stage,)))
    model = setup.learner.model
    monkeypatch.setattr(model.vision, "forward", lambda *_: pytest.fail("the ViT ran"))
    ConversationObjective().loss_sum(model, next(iter(setup.loader(0))), torch.device("cpu")).backward()
    assert all(p.grad is None for p in (*model.vision.parameters(), *model.connector.parameters()))
    assert model.decoder.layers[0].mlp.up_proj.weight.grad is not None
