"""Losses and gradients against the plain formulas, and against themselves cut differently."""

import pytest
import torch
import torch.nn.functional as F

from tessera.models import vlm
from tessera.models.vlm import VLM
from tessera.nn import cross_entropy
from tessera.nn.attention.layout import Packed
from tessera.packing.pack import Pack, collate
from tessera.packing.samples.weights import Averaging
from tessera.train.objective.contrastive import symmetric_contrastive_loss
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, assign
from tests.train import tiny

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def _loss_and_gradients(model: VLM, packs: list[Pack]) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss, _ = Step(ConversationObjective(), model, tiny.CPU).gradients(packs)
    return float(loss), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _same(model: VLM, left: list[Pack], right: list[Pack]) -> None:
    loss, gradients = _loss_and_gradients(model, left)
    other_loss, others = _loss_and_gradients(model, right)
    assert loss == pytest.approx(other_loss, abs=1e-5)
    assert gradients.keys() == others.keys() == {name for name, _ in model.named_parameters()}
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], **TOLERANCE)


@pytest.mark.parametrize("averaging", ["token", "sample", "square"])
def test_equals_cross_entropy_over_the_whole_vocabulary(averaging: Averaging) -> None:
    model, drawn = tiny.model(), tiny.samples(4, averaging)
    power = {"token": 0.0, "sample": 1.0, "square": 0.5}[averaging]
    total = weight = 0.0
    with torch.no_grad():
        for sample in drawn:
            ids, supervised = torch.from_numpy(sample.ids).long(), torch.from_numpy(sample.weights) > 0
            tiles = torch.from_numpy(sample.tiles)
            logits = model.logits(model(ids, Packed((len(ids),)), tiles=tiles))
            each = F.cross_entropy(logits[:-1], ids[1:], reduction="none")[supervised[1:]]
            share = len(each) ** -power
            total, weight = total + float(each.sum()) * share, weight + len(each) * share
    loss, _ = _loss_and_gradients(model, [collate(drawn)])
    assert loss == pytest.approx(total / weight, abs=1e-5)


def test_packed_equals_one_sample_per_step() -> None:
    """Loss and all gradients, with pictures: the normaliser is counted first and divided once."""
    drawn = tiny.samples(6)
    assert sum(len(s.tiles) > 0 for s in drawn) >= 4
    _same(tiny.model(), [collate(drawn)], [collate([sample]) for sample in drawn])


def test_cut_of_a_step_changes_nothing() -> None:
    drawn = tiny.samples(5)
    _same(tiny.model(), [collate(drawn[:1]), collate(drawn[1:])], [collate(drawn[:4]), collate(drawn[4:])])


def test_chunks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, packs = tiny.model(), [collate(tiny.samples(3))]
    loss, gradients = _loss_and_gradients(model, packs)
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", 7 * model.config.decoder.vocab_size)
    chunked_loss, chunked = _loss_and_gradients(model, packs)
    assert loss == pytest.approx(chunked_loss, abs=1e-6)
    torch.testing.assert_close(gradients, chunked, **TOLERANCE)


def test_bfloat16_stays_near() -> None:
    model, packs = tiny.model(), [collate(tiny.samples(4))]
    loss, gradients = _loss_and_gradients(model, packs)
    model.zero_grad()
    Masters("bfloat16").hold(model)
    rounded, _ = Step(ConversationObjective(), model, tiny.CPU).gradients(packs)
    assert float(rounded) == pytest.approx(loss, rel=1e-2)
    flat = torch.cat([gradient.flatten() for gradient in gradients.values()])
    other = torch.cat([p.grad.float().flatten() for p in model.parameters() if p.grad is not None])
    assert float(F.cosine_similarity(flat, other, dim=0)) > 0.99


def test_step_without_targets_is_an_error() -> None:
    sample = tiny.samples(1)[0]
    sample.weights[:] = 0
    with pytest.raises(ValueError, match="no supervised token"):
        _loss_and_gradients(tiny.model(), [collate([sample])])


def test_frozen_parts_get_no_gradient_and_no_graph() -> None:
    model, pack = tiny.model(), collate(tiny.samples(3))
    rules = (Rule(pattern=r"^connector\.", learning_rate=1.0), Rule(pattern="."))
    assign(model, rules)
    _, gradients = _loss_and_gradients(model, [pack])
    assert {name.split(".")[0] for name in gradients} == {"connector"}
    pixels = torch.zeros(1, 3, 16, 16)
    assert model.vision(pixels).grad_fn is None  # nothing of the ViT is kept for a backward pass
    assert model.see(pack.tiles).grad_fn is not None


def test_a_frozen_vit_takes_few_tiles_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tiles = tiny.model(), collate(tiny.samples(3)).tiles
    seen: list[int] = []
    model.vision.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr(vlm, "PATCHES_AT_ONCE_ON_CPU", 2 * model.vision.patches)
    whole = model.see(tiles)
    assert seen == [len(tiles)], "a trained ViT keeps everything in any case"
    model.vision.requires_grad_(False)
    torch.testing.assert_close(model.see(tiles), whole)
    assert max(seen[1:]) == 2 and sum(seen[1:]) == len(tiles)


def test_contrastive_loss_by_hand() -> None:
    left, right = (F.normalize(torch.randn(n, 5), dim=-1) for n in (4, 3))
    match = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    scale = torch.tensor(7.0)
    scores = (scale * left @ right.t()).double()
    rows = [(scores[0], [0]), (scores[1], [1, 2]), (scores[3], [0])]
    columns = [(scores[:, 0], [0, 3]), (scores[:, 1], [1]), (scores[:, 2], [1])]
    halves = []
    for direction in (rows, columns):
        terms = [-sum(float(s[i] - s.logsumexp(0)) for i in hits) / len(hits) for s, hits in direction]
        halves.append(sum(terms) / len(terms))
    loss = symmetric_contrastive_loss(left, right, scale, match)
    assert float(loss) == pytest.approx(sum(halves) / 2, abs=1e-5)
