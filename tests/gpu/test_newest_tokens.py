"""The kernels for the newest tokens on a CUDA device, and recorded steps of the whole engine."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import pytest
import torch

from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny
from tests.nn.cuda import cases

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("triton") is None, reason="needs a CUDA device and Triton"
)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)


@each_dtype
@cases.each_count
def test_products(count: int, dtype: torch.dtype) -> None:
    cases.check_products(count, dtype, "cuda")


@each_dtype
@cases.each_shape
@cases.each_context
@cases.each_norm
def test_tokens(shape: cases.Shape, contexts: tuple[int, ...], normed: bool, dtype: torch.dtype) -> None:
    cases.check_tokens(shape, contexts, normed, dtype, "cuda")


def test_recorded_steps_say_what_the_slow_reference_says() -> None:
    """Requests come while others answer, share beginnings and are preempted; blocks are short."""
    model = copy.deepcopy(tiny.model()).to("cuda")
    stops = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
    config = model.config.decoder
    token = 2 * config.num_key_value_heads * config.head_width * 4 * config.num_hidden_layers
    limits = EngineLimits(cache_bytes=40 * 8 * token, block_size=8, tokens_a_step=64, record_steps=True)
    engine = Engine(model, tiny.tokenizer(), stops, 5, limits=limits)
    asked, prompts = [], [*tiny.mixed_prompts(), *tiny.mixed_prompts()]
    for number, prompt in enumerate(prompts):
        sampling = Sampling(max_new_tokens=9 + 7 * (number % 4))
        asked.append((engine.loop.submit(engine.sequence(prompt, sampling)), prompt, sampling))
        for _ in range(number % 3):
            engine.loop.step()
    while engine.loop.step():
        pass
    assert engine.loop.runner is not None and engine.loop.runner.graphs is not None
    assert len(engine.loop.runner.graphs._recorded) > 2
    for ticket, prompt, sampling in asked:
        assert ticket.completion() == generate_slowly(model, tiny.tokenizer(), stops, prompt, sampling)


def test_weights_that_change_are_seen() -> None:
    """Weights that read the same states are laid together, and stay the module's own."""
    model = copy.deepcopy(tiny.model()).to("cuda")
    engine = Engine(
        model, tiny.tokenizer(), frozenset(), limits=EngineLimits(cache_bytes=2**24, record_steps=True)
    )
    prompt, sampling = tiny.prompt("how many circles are there"), Sampling(max_new_tokens=12)
    (first,) = engine.generate([prompt], sampling)
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if "k_proj" in name or "up_proj" in name:
                weight.mul_(-1.5)
    (second,) = engine.generate([prompt], sampling)
    assert second != first
    assert second == generate_slowly(model, tiny.tokenizer(), frozenset(), prompt, sampling)
