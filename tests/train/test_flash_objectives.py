"""Visual consistency learning: coarse packs by brute force, divergences by definition, labels of a router."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.models.config import VLMConfig
from tessera.models.resolution.config import ResolutionConfig
from tessera.models.resolution.forms import connect_forms
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.packing.pack import Pack, collate
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.objective.resolution.coarsening import Forms, coarsened
from tessera.train.objective.resolution.consistency import ConsistencyObjective
from tessera.train.objective.resolution.routing import RoutingObjective
from tests.train import tiny

FINE, COARSE = 4, 1


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain nano model, the reference."""
    family = fresh("nano_model", tiny.tokenizer())
    return save_checkpoint(tmp_path_factory.mktemp("base"), tiny.model(), family, tiny.tokenizer(), "tessera")


def _flash(base: Path) -> VLM:
    start = Start(checkpoint=str(base), resolution=ResolutionConfig())
    return ChatLearner.start(start, seed=3).model.eval()


def _pack() -> Pack:
    return collate(tiny.samples(4))


def _coarse(pack: Pack) -> list[bool]:
    return [number % 3 == 1 for number in range(sum(pack.tiles_per_sample))]


def test_placeholders_fall_away_as_in_inference() -> None:
    """By a walk over the tokens: of a coarse tile the first stays."""
    pack, placeholder = _pack(), fresh("nano_model", tiny.tokenizer()).model.image_token_id
    coarse, ids, weights, seen = _coarse(pack), [], [], 0
    for token, weight in zip(pack.ids.tolist(), pack.weights.tolist(), strict=True):
        if token == placeholder:
            tile, place = divmod(seen, FINE)
            seen += 1
            if coarse[tile] and place >= COARSE:
                continue
        ids.append(token)
        weights.append(weight)
    found = coarsened(pack, coarse, Forms(FINE, COARSE, placeholder))
    assert found.ids.tolist() == ids and found.weights.tolist() == weights
    assert sum(found.lengths) == len(ids) and len(found.lengths) == len(pack.lengths)
    assert coarsened(pack, [False] * len(coarse), Forms(FINE, COARSE, placeholder)).lengths == pack.lengths


def test_a_fresh_router_starts_beside_the_same_weights(base: Path) -> None:
    ours, theirs = _flash(base), tiny.model()
    same = dict(ours.named_parameters())
    assert all(torch.equal(same[name], parameter) for name, parameter in theirs.named_parameters())
    assert {name.partition(".")[0] for name in same} == {"vision", "connector", "decoder", "coarse", "router"}
    again = Start(checkpoint=str(base), resolution=ResolutionConfig(relative_threshold=0.2))
    assert ChatLearner.start(again, 3).family.model.resolution.relative_threshold == 0.2  # type: ignore[attr-defined]


def test_the_divergence_is_that_of_the_definition(base: Path) -> None:
    model, pack = _flash(base), _pack()
    objective = ConsistencyObjective(reference=str(base))
    forms, coarse = Forms.of(model), _coarse(pack)
    none = objective.divergence(model, pack, [False] * len(coarse), forms, tiny.CPU)
    assert float(none.abs().max()) < 1e-6, "the model is its own reference"
    got = objective.divergence(model, pack, coarse, forms, tiny.CPU)
    few, reference = coarsened(pack, coarse, forms), tiny.model().eval()
    with torch.no_grad():
        features = torch.cat(connect_forms(model, model.look(pack.tiles), coarse))[None]
        ours = model.logits(model(few.ids, Packed(few.lengths), features=features)).log_softmax(-1)
        theirs = reference.logits(reference(pack.ids, Packed(pack.lengths), tiles=pack.tiles)).log_softmax(-1)
    p = theirs[pack.weights.nonzero()[:, 0] - 1]
    q = ours[few.weights.nonzero()[:, 0] - 1]
    torch.testing.assert_close(got, (p.exp() * (p - q)).sum(-1), rtol=1e-4, atol=1e-6)
    assert float(got.max()) > 1e-5


def test_a_step_of_consistency_reaches_the_coarse_connector(base: Path) -> None:
    model = _flash(base).train()
    torch.manual_seed(0)
    objective = ConsistencyObjective(reference=str(base), coarse_share=1.0)
    objective.loss_sum(model, _pack(), tiny.CPU).backward()
    assert float(model.get_submodule("coarse").linear_3.weight.grad.abs().sum()) > 0  # type: ignore[union-attr]
    assert model.connector.linear_1.weight.grad is None  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="has no resolution router"):
        objective.loss_sum(tiny.model(), _pack(), tiny.CPU)


def test_labels_are_a_percentile_of_the_last_ratios(base: Path) -> None:
    model = _flash(base)
    objective = RoutingObjective(reference=str(base), percentile=50.0, window=4)
    assert objective.labels(model, torch.tensor([1.0, 3.0])).tolist() == [0, 1]
    assert objective.labels(model, torch.tensor([2.5, 9.0])).tolist() == [0, 1]
    assert objective.labels(model, torch.tensor([1.5])).tolist() == [0]  # of 3, 2.5, 9 and 1.5
    assert len(model.get_submodule("router").ratios) == 4  # type: ignore[arg-type]


def test_the_router_learns_alone(base: Path) -> None:
    model, pack = _flash(base), _pack()
    objective = RoutingObjective(reference=str(base))
    with pytest.raises(ValueError, match=r"give \^router\\\. alone a learning rate"):
        objective.loss_sum(model, pack, tiny.CPU)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("router."))
    loss = objective.loss_sum(model, pack, tiny.CPU)
    with torch.no_grad():
        ratios = objective.ratios(model, pack, tiny.CPU)
        labels = (ratios >= torch.quantile(ratios, 0.5)).long()
        each = labels.repeat_interleave(torch.tensor(pack.tiles_per_sample))
        scores = model.get_submodule("router")(model.look(pack.tiles))
        expected = F.cross_entropy(scores, each, reduction="sum")
    torch.testing.assert_close(loss.detach(), expected)
    assert objective.weight(pack) == sum(pack.tiles_per_sample)
    loss.backward()
    assert model.get_submodule("router").gating.gate[1].weight.grad is not None  # type: ignore[union-attr, index]


def test_a_config_of_other_tiles_says_so() -> None:
    family = fresh("nano_model", tiny.tokenizer())
    assert isinstance(family.model, VLMConfig)
    fields = dict(family.model) | {"resolution": ResolutionConfig(), "downsample_ratio": 0.25}
    with pytest.raises(ValueError, match="coarse tiles merge 16 patches along a side of 4"):
        VLMConfig.model_validate(fields)
