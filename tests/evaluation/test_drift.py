"""How far a model in few bits is from before: every figure against one computed another way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import tessera
from tessera.chat.message import Conversation, ask
from tessera.checkpoints.quantised.writing import quantise_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.chat_model import ChatModel
from tessera.engine.comparing import LayerWatch, by_block, few_bit_pairs, forced_scores, swapped, weight_error
from tessera.engine.reference import generate_slowly
from tessera.evaluation.drift import Drift, DriftQuestion, divergence, measure_drift, playground_questions
from tessera.evaluation.drift_page import drift_page
from tessera.pages.page import render
from tests.engine import tiny

ONLY = ("^vision", r"^decoder\.layers\.1", "self_attn", "gate", "up")
"""What is kept so that one linear is left: decoder.layers.0.mlp.down_proj."""
DOWN = "decoder.layers.0.mlp.down_proj"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drift") / "before"
    return save_checkpoint(root, tiny.model(), tiny.family(), tiny.tokenizer(), dtype=torch.bfloat16)


def opened(folder: Path, *keep: str) -> tuple[ChatModel, ChatModel]:
    """The model, and the same in 4 bits; both in float32, where nothing else is rounded."""
    target = folder.with_name("_".join(["int4", *(word.strip("^") for word in keep)]).replace("\\", ""))
    if not target.exists():
        quantise_checkpoint(folder, target, "int4", keep)
    return tessera.load(folder, dtype="float32"), tessera.load(target, dtype="float32")


def questions(*graded: str) -> list[DriftQuestion]:
    words = ("how many circles are there", "the red circle?", "left?")
    return [
        DriftQuestion(
            Conversation((ask(text, [tiny.picture(n)]),)),
            "noise",
            (lambda said: True) if text in graded else None,
        )
        for n, text in enumerate(words)
    ]


def test_divergence_is_that_of_torch() -> None:
    first, second = (torch.randn(5, 40, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    wanted = F.kl_div(second.log_softmax(-1), first.log_softmax(-1), log_target=True, reduction="none").sum(
        -1
    )
    torch.testing.assert_close(divergence(first.log_softmax(-1), second.log_softmax(-1)).float(), wanted)


def test_forced_scores_choose_what_the_slow_reference_says(folder: Path) -> None:
    model, _ = opened(folder)
    prompt = model.prompt(questions()[0].prompt, max_new_tokens=9)
    stops = frozenset[int]()
    told = generate_slowly(model.loaded.model, model.tokenizer, stops, prompt.encoded, prompt.sampling)
    scores = forced_scores(model, prompt, told.ids)
    assert scores.shape == (10, model.family.model.decoder.vocab_size)
    assert torch.allclose(scores.exp().sum(-1), torch.ones(10))
    known = scores[:, : model.tokenizer.vocab_size].clone()
    known[:, model.family.model.image_token_id] = -torch.inf  # an answer holds none
    assert tuple(known[:-1].argmax(-1).tolist()) == told.ids


def test_one_layer_alone(folder: Path) -> None:
    """With one linear in few bits its block's KL is the model's, and its errors are those of the matrices."""
    before, after = opened(folder, *ONLY)
    asked = questions()
    drift = measure_drift(before, after, asked, max_new_tokens=5, block_questions=len(asked))
    (layer,), (block,) = drift.layers, drift.blocks
    assert layer.name == DOWN and block.name == "decoder.layers.0"
    assert block.kl == pytest.approx(drift.kl_mean, rel=1e-3) and 0 < drift.kl_mean <= drift.kl_max
    assert drift.kl_mean < drift.kl_p99 <= drift.kl_max and drift.tokens >= len(asked)
    dense = before.loaded.model.get_submodule(DOWN).weight
    coded = after.loaded.model.get_submodule(DOWN).dense()  # type: ignore[operator]
    assert layer.weight_error == pytest.approx(float((coded - dense).norm() / dense.norm()))  # type: ignore[operator]


def test_errors_of_results_are_those_on_what_the_layer_was_given(folder: Path) -> None:
    before, after = opened(folder, *ONLY)
    pairs = few_bit_pairs(before, after)
    prompt, seen = before.prompt(questions()[1].prompt, max_new_tokens=3), []
    first, second = pairs[DOWN]
    hook = first.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    with LayerWatch(pairs) as watch:
        wanted = forced_scores(before, prompt, [5, 6])
    hook.remove()
    off = second(seen[0]) - F.linear(seen[0], first.weight)  # type: ignore[arg-type]
    exact = F.linear(seen[0], first.weight)  # type: ignore[arg-type]
    assert watch.errors()[DOWN] == pytest.approx(float(off.norm() / exact.norm()), rel=1e-4)
    assert 0.01 < watch.errors()[DOWN] < 0.3 and 0.01 < weight_error(pairs[DOWN]) < 0.3
    assert torch.equal(forced_scores(before, prompt, [5, 6]), wanted), "no hook is left"
    assert len(seen) == 1


def test_swapped_layers_come_back(folder: Path) -> None:
    before, after = opened(folder)
    pairs = few_bit_pairs(before, after)
    prompt = before.prompt("is it red?", max_new_tokens=3)
    mine, theirs = (forced_scores(model, prompt, [7]) for model in (before, after))
    with swapped(before, pairs, list(pairs)):
        assert torch.equal(forced_scores(before, prompt, [7]), theirs)
    assert torch.equal(forced_scores(before, prompt, [7]), mine) and not torch.equal(mine, theirs)
    blocks = by_block(list(pairs))
    assert {"vision.layers.0", "decoder.layers.1"} <= blocks.keys()
    assert sorted(name for names in blocks.values() for name in names) == sorted(pairs)


def test_the_same_model_has_not_moved(folder: Path) -> None:
    before, _ = opened(folder)
    drift = measure_drift(before, tessera.load(folder, dtype="float32"), questions(), max_new_tokens=4)
    assert (drift.changed, drift.kl_max, drift.same_best, drift.layers, drift.blocks) == (0, 0.0, 1.0, (), ())
    assert drift.right == (0, 0, 0) and drift.summary()["right"] is None
    with pytest.raises(ValueError, match="questions: there are none"):
        measure_drift(before, before, [])


def test_answers_are_those_of_chat_and_the_page_shows_them(folder: Path) -> None:
    before, after = opened(folder)
    asked = questions("left?")
    drift = measure_drift(before, after, asked, max_new_tokens=6, block_questions=1)
    for pair, question in zip(drift.answers, asked, strict=True):
        assert pair.before == before.chat(question.prompt, max_new_tokens=6).strip()
        assert pair.after == after.chat(question.prompt, max_new_tokens=6).strip()
    assert drift.changed == sum(pair.before != pair.after for pair in drift.answers) > 0
    assert drift.right == (1, 1, 1)
    assert len(drift.summary()["changed"]) == drift.changed  # type: ignore[arg-type]
    check_page(
        render(drift_page("nano in 4 bits", drift, (4_000_000, 1_000_000), {"kept": "nothing"})), drift
    )


def check_page(page: str, drift: Drift) -> None:
    for told in (
        f"{drift.changed} of 3",
        "4.00 MB → 1.00 MB",
        "decoder.layers.0",
        DOWN,
        "Answers that changed",
        "data:image/",
    ):
        assert told in page
    assert page.count("before: ") == drift.changed


def test_few_bits_beside_other_few_bits(folder: Path) -> None:
    """From AWQ files to our own form both sides are in few bits: what differs is compared."""
    _, four = opened(folder)
    eight = tessera.load(folder, dtype="float32", load_in_8bit=True)
    pairs = few_bit_pairs(eight, four)
    assert DOWN in pairs and 0.01 < weight_error(pairs[DOWN]) < 0.3
    assert not few_bit_pairs(four, opened(folder)[1])


def test_playground_questions_are_spread_and_graded() -> None:
    asked = playground_questions(5, ("count", "motion"))
    assert [question.source for question in asked] == ["count", "motion", "count", "motion", "count"]
    assert all(question.grade is not None and not question.grade("no idea") for question in asked)
