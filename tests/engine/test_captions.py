"""Captions: the search against transformers' on the same logits, the whole way against slow arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import tessera
from tessera.checkpoints.pair.loading import load_pair
from tessera.engine.pair.beam import BeamConfig, Beams, Finished
from tessera.engine.pair.captions import caption_states
from tessera.engine.pair.model import PairModel
from tests.checkpoints.test_pair_folders import VOCABULARY, written
from tests.engine.test_pair import picture
from tests.parity import released_pair as released

EOS = 2


def llama(seed: int, spread: float = 0.5) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=13, **sizes, initializer_range=spread, pad_token_id=0, eos_token_id=EOS)
    return LlamaForCausalLM(config).eval()


def searched(model: LlamaForCausalLM, prompts: torch.Tensor, config: BeamConfig) -> list[Finished]:
    """Our search over whole sequences, computed anew for every token."""
    rows = prompts.repeat_interleave(config.beams, 0)
    beams = Beams(len(prompts), config, EOS)
    while not beams.done:
        with torch.no_grad():
            parents, tokens = beams.step(model(rows).logits[:, -1])
        rows = torch.cat((rows[parents], tokens[:, None]), 1)
    return beams.best()


CASES = [
    BeamConfig(beams=5),
    BeamConfig(beams=5, min_new_tokens=0, max_new_tokens=12),
    BeamConfig(beams=3, min_new_tokens=2, max_new_tokens=9, length_penalty=0.6),
    BeamConfig(beams=1, min_new_tokens=0, max_new_tokens=7),
    BeamConfig(beams=4, min_new_tokens=0, max_new_tokens=20, length_penalty=2.0),
    BeamConfig(beams=2, min_new_tokens=6, max_new_tokens=6, length_penalty=0.0),
    BeamConfig(beams=5, min_new_tokens=0, max_new_tokens=1),
]


@pytest.mark.parametrize("config", CASES)
def test_the_search_is_transformers(config: BeamConfig) -> None:
    ended = 0
    for seed in range(4):
        model = llama(seed)
        prompts = torch.randint(3, 13, (3, 4), generator=torch.Generator().manual_seed(seed))
        out = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            num_beams=config.beams,
            min_new_tokens=config.min_new_tokens,
            max_new_tokens=config.max_new_tokens,
            length_penalty=config.length_penalty,
            return_dict_in_generate=True,
            output_scores=True,
        )
        found = searched(model, prompts, config)
        theirs = [row[4:].tolist() for row in out.sequences]
        cut = [row[: row.index(EOS)] if EOS in row else row for row in theirs]
        assert [list(one.ids) for one in found] == cut
        ended += sum(EOS in row for row in theirs)
        if config.beams > 1:
            scores = torch.tensor([one.score for one in found])
            torch.testing.assert_close(scores, out.sequences_scores, rtol=1e-4, atol=1e-4)
    assert ended or config.min_new_tokens == config.max_new_tokens


@pytest.fixture(scope="module")
def weights() -> released.State:
    """An eos that is likely, so that captions differ in length."""
    found = released.state(3, vocabulary=VOCABULARY)
    found["qllama.lm_head.weight"] *= 2
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, weights: released.State) -> PairModel:
    return PairModel(load_pair(written(tmp_path_factory.mktemp("pair"), weights)))


def test_captions_are_those_of_slow_arithmetic(pair: PairModel, weights: released.State) -> None:
    """No cache, no pages, no layouts: one rectangle with its mask for every token anew."""
    config = BeamConfig(beams=3, min_new_tokens=2, max_new_tokens=6)
    tiles = torch.cat(list(pair.squares([picture(n) for n in range(3)])))
    prompt = pair.texts.prompt()
    with torch.inference_mode():
        sight = pair.model.look(tiles)
        found = caption_states(pair.model, sight, prompt, config, pair.texts.eos)
        beams = Beams(3, config, pair.texts.eos)
        ids = torch.tensor([prompt] * 9)
        while not beams.done:
            parents, tokens = beams.step(slow_logits(weights, ids, sight.repeat_interleave(3, 0)))
            ids = torch.cat((ids[parents], tokens[:, None]), 1)
    for one, expected in zip(found, beams.best(), strict=True):
        assert one.ids == expected.ids and one.score == pytest.approx(expected.score, abs=1e-4)


def slow_logits(weights: released.State, ids: torch.Tensor, sight: torch.Tensor) -> torch.Tensor:
    queries, length = released.QUERIES, released.QUERIES + ids.shape[1]
    x = torch.cat(
        (weights["query_tokens"].expand(len(ids), -1, -1), weights["qllama.model.embed_tokens.weight"][ids]),
        1,
    )
    allowed = torch.ones(length, length, dtype=torch.bool).tril()
    allowed[:queries, :queries] = True
    hidden = released.qllama(weights, x, allowed.expand(len(ids), -1, -1), sight)[:, -1]
    return hidden @ weights["qllama.lm_head.weight"].T


def test_captions_of_people(pair: PairModel, tmp_path: Path) -> None:
    images = [picture(n) for n in range(3)]
    found = pair.caption(images, beams=2, max_new_tokens=10)
    assert len(found) == 3 and all(isinstance(text, str) and text == text.strip() for text in found)
    assert found == [text for image in images for text in pair.caption([image], beams=2, max_new_tokens=10)]
    assert pair.caption([]) == []
    assert pair.caption(images, "what?", beams=2, max_new_tokens=10) != found
    with pytest.raises(ValueError, match="caption: .*min_new_tokens 8 is more than max_new_tokens 4"):
        pair.caption(images, max_new_tokens=4)
    with pytest.raises(ValueError, match="caption: beams = 0"):
        pair.caption(images, beams=0)
    with pytest.raises(ValueError, match=r"images\[0\]: .*gone.png"):
        pair.caption([tmp_path / "gone.png"])


def test_few_bits_are_near(tmp_path: Path, weights: released.State, pair: PairModel) -> None:
    """bfloat16 and int8 on a CPU take kernels of their own, of which some read vectors."""
    folder, images = written(tmp_path, weights), [picture(n) for n in range(2)]
    expected = pair.embed_images(images, "g"), pair.embed_texts(["a red circle"])
    found = tessera.load(folder, load_in_8bit=True, dtype="bfloat16")
    assert isinstance(found, PairModel)
    rows = found.embed_images(images, "g"), found.embed_texts(["a red circle"])
    assert all((a * b).sum(1).min() > 0.99 for a, b in zip(rows, expected, strict=True))
    assert len(found.caption(images, beams=2)) == 2
