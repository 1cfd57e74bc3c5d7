"""Visual experts in the decoder: each token through the one feed-forward that it needs.

The equalities are those of the model itself: experts like the text's change nothing, a stream of text asks
none, mixed streams are checked token by token, and decoding goes on with text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from tessera.models import decoder as decoders
from tessera.models.config import DecoderConfig
from tessera.models.decoder import Decoder
from tessera.models.routing import is_visual, visual_twin
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Packed, Paged
from tessera.nn.recompute import set_recompute

TOLERANCE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}
LENGTHS = (7, 5)
MASK = torch.tensor([False, True, True, True, False, False, True] + [False, True, True, False, False])
SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "attention_bias": False,
}


@pytest.fixture(params=[False, True], ids=["feed-forward", "attention, too"])
def made(request: pytest.FixtureRequest) -> Decoder:
    torch.manual_seed(0)
    experts = {"visual_experts": True, "visual_attention": request.param}
    return Decoder(DecoderConfig(architecture="internlm2", **experts, **SIZES)).eval()


def blocks(made: Decoder) -> Iterator[Any]:
    return iter(made.layers)


def like_text(made: Decoder) -> None:
    """Experts with the weights of what text meets, as training begins."""
    weights = made.state_dict()
    for name, weight in weights.items():
        if (twin := visual_twin(name)) != name and twin in weights:
            weights[twin].copy_(weight)


def plain(made: Decoder) -> Decoder:
    """The same decoder without experts."""
    base = Decoder(DecoderConfig(architecture="internlm2", **SIZES)).eval()
    base.load_state_dict({name: value for name, value in made.state_dict().items() if "visual" not in name})
    return base


def llama(made: Decoder) -> Any:
    """transformers' Llama with the text's weights."""
    base = transformers.LlamaConfig(
        **{name: value for name, value in SIZES.items() if name != "attention_bias"},
        rms_norm_eps=made.config.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": made.config.rope_theta},
        attn_implementation="eager",
    )
    theirs = transformers.LlamaModel(base).eval()
    weights = {
        name: v for name, v in made.state_dict().items() if "visual" not in name and "head" not in name
    }
    theirs.load_state_dict(weights)
    return theirs


def stream(made: Decoder) -> torch.Tensor:
    return torch.randn(sum(LENGTHS), made.config.hidden_size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_experts_like_the_text_change_nothing_for_any_mask(made: Decoder) -> None:
    like_text(made)
    x, theirs = stream(made), llama(made)
    expected = torch.cat([theirs(inputs_embeds=part[None]).last_hidden_state[0] for part in x.split(LENGTHS)])
    for mask in (MASK, ~MASK, torch.ones_like(MASK), torch.zeros_like(MASK)):
        found = made(x, Packed(LENGTHS), visual=mask)
        torch.testing.assert_close(found, expected, **TOLERANCE)


@torch.no_grad()
def test_text_asks_no_expert(made: Decoder) -> None:
    for name, weight in made.named_parameters():
        if is_visual(name):
            weight.fill_(float("nan"))
    x, expected = stream(made), plain(made)(stream(made), Packed(LENGTHS))
    for mask in (None, torch.zeros_like(MASK)):
        torch.testing.assert_close(made(x, Packed(LENGTHS), visual=mask), expected, rtol=0, atol=0)


def by_hand(made: Decoder, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One sequence, token by token, through the modules' own weights."""
    theirs = llama(made)
    for layer, own in zip(theirs.layers, blocks(made), strict=True):
        layer.mlp = TokenByToken(layer.mlp, own.mlp_visual, mask)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj") if own.self_attn.visual is not None else ():
            text, visual = layer.self_attn.get_submodule(name), own.self_attn.visual.get_submodule(name)
            setattr(layer.self_attn, name, TokenByToken(text, visual, mask))
    out: torch.Tensor = theirs(inputs_embeds=x[None]).last_hidden_state[0]
    return out


class TokenByToken(nn.Module):
    """The slow oracle: one row at a time."""

    def __init__(self, text: nn.Module, visual: nn.Module, mask: torch.Tensor) -> None:
        super().__init__()
        self.text, self.visual, self.mask = text, visual, mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = zip(x[0], self.mask.tolist(), strict=True)
        return torch.stack([(self.visual if picture else self.text)(row) for row, picture in rows])[None]


@torch.no_grad()
def test_mixed_streams_equal_the_oracle(made: Decoder) -> None:
    x = stream(made)
    parts = zip(x.split(LENGTHS), MASK.split(LENGTHS), strict=True)
    expected = torch.cat([by_hand(made, part, mask) for part, mask in parts])
    torch.testing.assert_close(made(x, Packed(LENGTHS), visual=MASK), expected, **TOLERANCE)
    rows = torch.tensor([2, 4, 6, 10])  # pictures among them
    found = made(x, Packed(LENGTHS), rows=rows, visual=MASK)
    torch.testing.assert_close(found, expected[rows], **TOLERANCE)


def cache_of(made: Decoder, pages: int = 1, size: int = 16) -> KVCache:
    config = made.config
    sizes = (config.num_hidden_layers, pages, size, config.num_key_value_heads, config.head_width)
    return KVCache(*sizes, torch.float32)


@torch.no_grad()
def test_prefill_and_decoding_equal_a_full_pass_where_new_tokens_are_text(made: Decoder) -> None:
    x, mask = stream(made)[:9], torch.tensor([False, True, True, True, False, False, False, False, False])
    expected = made(x, Packed((9,)), visual=mask)
    cache, found = cache_of(made), []
    for start, stop in ((0, 2), (2, 3), (3, 6)):  # in pieces; one of a single picture token
        layout = Paged((stop - start,), (start,), ((0,),))
        found.append(made(x[start:stop], layout, cache=cache, visual=mask[start:stop]))
    for place in range(6, 9):
        layout = Paged((1,), (place,), ((0,),))
        found.append(made(x[place : place + 1], layout, cache=cache))
    torch.testing.assert_close(torch.cat(found), expected, **TOLERANCE)
    seen = torch.ones(9, dtype=torch.bool)  # a full pass that takes the new tokens for pictures differs
    seen[:6] = mask[:6]
    assert not torch.allclose(made(x, Packed((9,)), visual=seen)[6:], expected[6:], **TOLERANCE)


def test_each_expert_computes_its_own_rows_alone(made: Decoder) -> None:
    seen: dict[str, list[int]] = {"mlp": [], "mlp_visual": []}
    for block in blocks(made):
        for name, rows in seen.items():
            block.get_submodule(name).register_forward_hook(
                lambda _, given, __, rows=rows: rows.append(len(given[0]))
            )
    with torch.no_grad():
        made(stream(made), Packed(LENGTHS), visual=MASK)
    pictures = int(MASK.sum())
    assert seen == {"mlp": [len(MASK) - pictures] * 3, "mlp_visual": [pictures] * 3}


@pytest.mark.parametrize("recompute", ["none", "blocks", "selective"])
def test_gradients_are_those_of_both_experts_blended(made: Decoder, recompute: Any) -> None:
    x, rows = stream(made), torch.tensor([4, 5, 10])
    set_recompute(made, recompute)
    made.train()(x, Packed(LENGTHS), rows=rows, visual=MASK).square().sum().backward()
    found = {name: weight.grad for name, weight in made.named_parameters()}
    made.zero_grad()
    for block in blocks(made):
        block.mlp, block.mlp_visual = Blended(block.mlp, block.mlp_visual, MASK), None
        attention, visual = block.self_attn, block.self_attn.visual
        for name, module in list(visual.named_children()) if visual is not None else ():
            setattr(attention, name, Blended(attention.get_submodule(name), module, MASK))
        attention.visual = None
    made(x, Packed(LENGTHS)).index_select(0, rows).square().sum().backward()
    for name, weight in made.named_parameters():
        name = re.sub(r"self_attn\.(._proj)\.visual\.", r"self_attn.visual.\1.", name)
        name = name.replace("mlp.visual.", "mlp_visual.").replace(".text.", ".")
        if weight.grad is not None:  # embeddings and head have no part in it
            torch.testing.assert_close(found[name], weight.grad, **TOLERANCE)


class Blended(nn.Module):
    """As the released code does: both on all tokens, one of them times zero."""

    def __init__(self, text: nn.Module, visual: nn.Module, mask: torch.Tensor) -> None:
        super().__init__()
        self.text, self.visual, self.mask = text, visual, mask[:, None].float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.text(x) * (1 - self.mask) + self.visual(x) * self.mask


def test_an_expert_without_tokens_gets_a_gradient_of_zero(made: Decoder) -> None:
    """Else processes that share its weights out would wait for each other forever."""
    made.train()(stream(made), Packed(LENGTHS), visual=torch.zeros_like(MASK)).sum().backward()
    found = [weight.grad for name, weight in made.named_parameters() if is_visual(name)]
    assert found and all(grad is not None and not grad.any() for grad in found)


def test_cached_text_takes_the_same_way_as_without_experts(
    made: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(decoders, "newest_tokens", lambda *given: asked.append(len(given[1])))
    cache = cache_of(made)
    with torch.no_grad():
        made(stream(made)[:3], Paged((3,), (0,), ((0,),)), cache=cache, visual=MASK[:3])
        one = Paged((1,), (3,), ((0,),))
        made(stream(made)[3:4], one, cache=cache, visual=torch.tensor([False]))
        made(stream(made)[3:4], one, cache=cache, visual=torch.tensor([True]))
    assert asked == [1] * 3


def test_parameters_are_counted(made: Decoder) -> None:
    assert made.config.weights().total == sum(weight.numel() for weight in made.parameters())
    idle = sum(weight.numel() for name, weight in made.named_parameters() if is_visual(name))
    assert made.config.idle_weights() == idle


def test_attention_alone_has_no_experts() -> None:
    with pytest.raises(ValueError, match="visual_attention without visual_experts"):
        DecoderConfig(visual_attention=True, **SIZES)
