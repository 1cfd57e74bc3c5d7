"""Visual experts in the engine: prompts in pieces, shared beginnings, many requests, text alone, few bits."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from tessera.chat.encoder import Encoded
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.linear import LinearKind
from tessera.nn.quantised import QuantisedLinear
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
SAMPLING = Sampling(max_new_tokens=12)
FAMILY = fresh("nano_mono", tiny.tokenizer())


@cache
def mono() -> VLM:
    """Random weights, wide enough apart that answers differ and the choice of an expert matters."""
    built = VLM(FAMILY.model).eval()
    initialise(built, 3)
    with torch.no_grad():
        built.decoder.lm_head.weight.mul_(8.0)
        built.connector.linear_2.weight.mul_(8.0)  # type: ignore[union-attr, operator]
        for layer in built.decoder.layers:
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj, layer.mlp_visual.down_proj):
                linear.weight.mul_(4.0)
    return built


@cache
def slowly() -> list[Completion]:
    return [generate_slowly(mono(), tiny.tokenizer(), STOPS, each, SAMPLING) for each in prompts()]


def prompts() -> list[Encoded]:
    """Some begin alike."""
    first, second = tiny.picture(1), tiny.picture(2, 60, 30)
    return [*tiny.mixed_prompts(), tiny.prompt("which", second, first), tiny.prompt("which", second, second)]


@pytest.mark.parametrize("tokens", [3, 11, 4000], ids="{} tokens a step".format)
def test_answers_are_those_of_whole_prompts_without_a_cache(tokens: int) -> None:
    """Pieces of three tokens cut pictures apart; a few blocks make requests give theirs back."""
    config = FAMILY.model.decoder
    token = 2 * config.num_key_value_heads * config.head_width * 4 * config.num_hidden_layers
    limits = EngineLimits(tokens_a_step=tokens, block_size=4, cache_bytes=60 * 4 * token)
    engine = Engine(mono(), tiny.tokenizer(), STOPS, 5, limits=limits)
    assert engine.generate(prompts(), SAMPLING) == slowly()
    assert engine.generate(prompts(), SAMPLING) == slowly(), "what was kept of their beginnings"
    assert len({each.ids for each in slowly()}) > 4, "pictures must matter for this to test"


def test_text_alone_is_answered_as_without_experts() -> None:
    decoder = FAMILY.model.decoder.model_copy(update={"visual_experts": False})
    plain = VLM(FAMILY.model.model_copy(update={"decoder": decoder})).eval()
    kept = {name: value for name, value in mono().state_dict().items() if "visual" not in name}
    plain.load_state_dict(kept)
    blind = [tiny.prompt("how many circles are there"), tiny.prompt("is")]
    answers = [Engine(each, tiny.tokenizer(), STOPS).generate(blind, SAMPLING) for each in (mono(), plain)]
    assert answers[0] == answers[1] and all(each.ids for each in answers[0])


@pytest.mark.parametrize("linears", ["packed", "int8", "int4"])
def test_experts_are_held_in_few_bits(linears: LinearKind, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, mono(), FAMILY, tiny.tokenizer())
    loaded = load_checkpoint(tmp_path, linears=linears)
    expert = loaded.model.decoder.layers[0].mlp_visual.gate_proj  # type: ignore[union-attr]
    assert isinstance(expert, QuantisedLinear) == (linears != "packed")
    image = FAMILY.model.image_token_id
    ids = torch.tensor([7, 8, *[image] * 4, 9, 10])
    tiles = torch.randint(0, 256, (1, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected, found = (model(ids, Packed((8,)), tiles=tiles) for model in (mono(), loaded.model))
    error = float((found - expected).norm() / expected.norm())
    assert error < {"packed": 1e-5, "int8": 0.05, "int4": 0.4}[linears]
