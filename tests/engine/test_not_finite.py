"""Scores that are not finite: an error with model, format and first tensor. They were answers of `!!!!!!!!`,
because the best of many NaN is token 0."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tessera
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.weights import first_not_finite, is_finite
from tessera.engine.batch import FailedItems
from tessera.engine.chat_model import ChatModel
from tessera.engine.local_scorer import LocalScorer
from tessera.evaluation.runner import evaluate
from tests.checkpoints import kinds
from tests.checkpoints.test_faults import edit_weights
from tests.engine import tiny

MATRIX = "language_model.model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    folder = kinds.saved(tmp_path / "toy", "qwen2")
    edit_weights(folder, lambda t: t.update({MATRIX: t[MATRIX] * float("nan")}))
    return folder


def small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's matrices are as small as a real model's norms."""
    monkeypatch.setattr("tessera.checkpoints.load.SMALL", 200)


def test_the_model_format_and_tensor_are_named(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_looks(monkeypatch)
    model = tessera.load(spoilt)
    told = r"toy-qwen2-300M: .* are not finite in float32: decoder.layers.1.mlp.down_proj.weight is not"
    for temperature in (0.0, 1.0):
        with pytest.raises(ValueError, match=told):
            model.chat("hello", temperature=temperature)
    with pytest.raises(ValueError, match=told):
        list(model.stream("hello"))
    with pytest.raises(ValueError, match=told):
        evaluate(model.engine, model.encoder, count=1)


def test_opening_looks_where_it_reads_anyway(spoilt: Path) -> None:
    """Small tensors always, all of them where the weights are copied or quantised."""
    message = rf"model.safetensors: '{MATRIX}' holds numbers that are not finite: fetch the file again"
    with pytest.raises(ValueError, match=message):
        load_checkpoint(spoilt)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(spoilt, linears="int8")
    with pytest.raises(ValueError, match=message):
        load_checkpoint(spoilt, linears="packed")


def with_one_bad_word() -> tuple[Loaded, str]:
    """A model in which one word's embedding is NaN, and a question with that word."""
    model = copy.deepcopy(tiny.model())
    with torch.no_grad():
        for token in tiny.tokenizer().encode("\u20ac"):
            model.decoder.embed_tokens.weight[token] = float("nan")
    family = tiny.family()
    encoder = family.encoder(tiny.tokenizer())
    loaded = Loaded(
        family=family, tokenizer=tiny.tokenizer(), model=model, encoder=encoder, folder=Path("toy")
    )
    return loaded, "how many \u20ac?"


def test_the_others_of_a_batch_go_on() -> None:
    loaded, bad = with_one_bad_word()
    model = ChatModel(loaded)
    questions = ["which", bad, "how many"]
    alone = [model.chat(question, max_new_tokens=4) for question in (questions[0], questions[2])]
    with pytest.raises(
        FailedItems, match=r"items\[1\]: .*decoder.embed_tokens.weight is not finite"
    ) as caught:
        model.batch(questions, max_new_tokens=4)
    assert caught.value.answers == [alone[0], None, alone[1]] and list(caught.value.faults) == [1]
    done = model.complete([model.prompt(question, max_new_tokens=4) for question in questions])
    assert [completion.finish == "failed" for completion in done] == [False, True, False]


def test_a_scorer_gives_an_error_for_that_prompt_alone() -> None:
    loaded, bad = with_one_bad_word()
    kept: list[str] = []

    def reply(text: str, asked: int, said: int, error: str | None) -> str:
        return error or "scored"

    scorer = LocalScorer(ChatModel(loaded), "toy", 3, 4, reply)
    replies = list(scorer.replies(["which", bad, None, "how"], lambda prompt, _: kept.append(prompt)))
    assert replies[0] == replies[3] == "scored" and replies[2] is None and kept == ["which", "how"]
    assert "not finite" in str(replies[1])


def test_numbers_that_overflow_are_told_from_weights_that_are_spoilt() -> None:
    """Every weight is finite, the scores are not: the number format is at fault."""
    model = copy.deepcopy(tiny.model())
    with torch.no_grad():
        model.decoder.lm_head.weight.fill_(3e38)
        model.decoder.norm.weight.fill_(1e4)
    loaded, _ = with_one_bad_word()
    with pytest.raises(
        ValueError, match="though every weight is: numbers grow too large .* try dtype float32"
    ):
        ChatModel(replace(loaded, model=model)).chat("which")


def tensors() -> Iterator[tuple[torch.Tensor, bool]]:
    yield torch.zeros(0), True
    yield torch.full((9,), 3e38), True  # the sum is infinite, the numbers are not
    yield torch.full((70_000,), 60_000.0, dtype=torch.float16), True
    for bad in (float("nan"), float("inf"), float("-inf")):
        yield torch.tensor([1.0, bad]), False
        yield torch.tensor([float("inf"), bad, -float("inf")], dtype=torch.bfloat16), False


def test_is_finite() -> None:
    for tensor, finite in tensors():
        assert is_finite(tensor) == finite == bool(tensor.isfinite().all())


def test_packed_and_int8_weights_are_looked_at(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_looks(monkeypatch)
    loaded = load_checkpoint(spoilt, linears="packed")
    assert first_not_finite(loaded.model) == "decoder.layers.1.mlp.down_proj.weight"
    assert first_not_finite(tiny.model()) is None
