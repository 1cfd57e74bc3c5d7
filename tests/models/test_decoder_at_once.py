"""A decoder's blocks in one call each: to the bit what their modules give, and only where they may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tessera.models import decoder as decoders
from tessera.models.config import DecoderConfig
from tessera.models.decoder import Decoder
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged
from tessera.nn.cpu import native, routes
from tessera.nn.linear import LinearKind, make_linear


@pytest.fixture(autouse=True)
def always_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every weight streams; skips where there is no compiler."""
    if reason := native.why_not():
        pytest.skip(reason)
    monkeypatch.setattr(routes, "_is_faster", lambda *_: True)
    yield


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each block that was asked went in one call."""
    found: list[bool] = []
    real = decoders.newest_tokens

    def told(*given: object) -> torch.Tensor | None:
        out = real(*given)  # type: ignore[arg-type]
        found.append(out is not None)
        return out

    monkeypatch.setattr(decoders, "newest_tokens", told)
    return found


def decoder(kind: LinearKind, qk_norm: bool, biases: bool) -> Decoder:
    config = DecoderConfig(
        vocab_size=64,
        hidden_size=256,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        attention_bias=biases,
        qk_norm=qk_norm,
    )
    torch.manual_seed(0)
    made = Decoder(config).bfloat16()
    for path, linear in list(made.layers.named_modules()):
        if isinstance(linear, torch.nn.Linear):
            parent, _, child = path.rpartition(".")
            bias = None if linear.bias is None else linear.bias.data
            setattr(made.layers.get_submodule(parent), child, make_linear(kind, linear.weight.data, bias))
    return made.eval()


def steps(model: Decoder, count: int = 3) -> torch.Tensor:
    """Three sequences in scattered pages: their prompts, then tokens one by one."""
    cache = KVCache(2, 40, 4, 2, 64, torch.bfloat16)
    for pool in (*cache.keys, *cache.values):
        pool.zero_()
    pages = tuple(tuple(range(start, 40, 3)) for start in (2, 0, 1))
    lengths, context, out = (5, 1, 9), (0, 0, 0), []
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for _ in range(count):
            layout = Paged(lengths, context, pages)
            x = torch.randn(layout.total, 256, generator=generator).bfloat16()
            out.append(model(x, layout, cache=cache, rows=layout.ends(x.device)))
            context = layout.key_lengths
            lengths = (1, 1, 1)
    return torch.stack(out)


@pytest.mark.parametrize("kind", ["packed", "int8", "int4"])
@pytest.mark.parametrize(("qk_norm", "biases"), [(False, True), (True, False)])
def test_blocks_in_one_call(
    kind: LinearKind, qk_norm: bool, biases: bool, calls: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = decoder(kind, qk_norm, biases)
    got = steps(model)
    assert calls == [True] * 4, "two steps of two blocks, and no prompt"
    monkeypatch.setattr(decoders, "newest_tokens", lambda *_: None)
    assert torch.equal(got, steps(model))
    assert got.float().std() > 0.1


def test_who_does_not_take_it(calls: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight that goes PyTorch's way, or float32."""
    model = decoder("packed", False, False)
    monkeypatch.setattr(routes, "_is_faster", lambda *_: False)
    steps(model, 2)
    assert calls == [False] * 2


def test_weights_that_change_between_steps(calls: list[bool]) -> None:
    """Other layers, other places, other dtypes: nothing of before is computed with."""
    model, layout = decoder("int4", False, True), Paged((1,), (0,), ((0, 1),))
    cache, x = KVCache(2, 4, 4, 2, 64, torch.bfloat16), torch.ones(1, 256).bfloat16()
    with torch.inference_mode():
        first = model(x, layout, cache=cache)
        assert torch.equal(model(x, layout, cache=cache), first)
        other = make_linear("int4", torch.randn(256, 384).bfloat16(), None)
        model.layers[1].mlp.down_proj = other
        second = model(x, layout, cache=cache)
        assert not torch.equal(second, first)
        assert torch.equal(second, model(x, layout, cache=KVCache(2, 4, 4, 2, 64, torch.bfloat16)))
        model.layers[1].mlp.down_proj = torch.nn.Linear(384, 256, bias=False).bfloat16()
        model(x, layout, cache=cache)
    assert calls == [True] * 9 + [False]


def test_a_sequence_that_outgrows_its_pages() -> None:
    model, cache = decoder("int8", False, False), KVCache(2, 4, 4, 2, 64, torch.bfloat16)
    with torch.inference_mode(), pytest.raises(ValueError, match="4 . 1 tokens do not fit 1 pages of 4"):
        model(torch.zeros(1, 256).bfloat16(), Paged((1,), (4,), ((0,),)), cache=cache)
