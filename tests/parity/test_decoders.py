"""Every decoder of the series against transformers on random weights, float32, below and beyond the trained
length.

InternLM2/2.5 and InternLM3 have LLaMA's arithmetic: transformers' Llama is their oracle, and
`checkpoints/keymap` shows that their files hold its weights in another order.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from tessera.models.config import DecoderConfig
from tessera.models.decoder import Decoder
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Packed, Paged

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
TRAINED = 16
"""Trained length of the toys."""

THEIRS = {
    "llama": transformers.LlamaForCausalLM,
    "internlm2": transformers.LlamaForCausalLM,
    "internlm3": transformers.LlamaForCausalLM,
    "qwen2": transformers.Qwen2ForCausalLM,
    "qwen3": transformers.Qwen3ForCausalLM,
    "phi3": transformers.Phi3ForCausalLM,
}
FACTORS = {"short_factor": (1.0, 1.1, 1.3, 2.0), "long_factor": (1.5, 2.5, 4.0, 7.0)}

KINDS: dict[str, dict[str, Any]] = {
    "llama2": {"architecture": "llama", "num_key_value_heads": 4, "rope_theta": 1e4},
    "yi": {"architecture": "llama", "rope_theta": 5e6},
    "llama3": {
        "architecture": "llama",
        "rope_theta": 5e5,
        "rope_scaling": {"kind": "llama3", "factor": 8.0, "original_max_position_embeddings": TRAINED},
        "max_position_embeddings": 128,
    },
    "internlm2": {"architecture": "internlm2", "rope_scaling": {"kind": "dynamic", "factor": 2.0}},
    "internlm2-20b": {"architecture": "internlm2", "rope_scaling": {"kind": "dynamic", "factor": 3.0}},
    "internlm3": {
        "architecture": "internlm3",
        "head_dim": 16,
        "rope_theta": 5e7,
        "rope_scaling": {"kind": "dynamic", "factor": 6.0},
    },
    "qwen2": {"architecture": "qwen2", "attention_bias": True},
    "qwen2-dynamic": {
        "architecture": "qwen2",
        "attention_bias": True,
        "rope_scaling": {"kind": "dynamic", "factor": 2.0},
    },
    "qwen2-yarn": {
        "architecture": "qwen2",
        "attention_bias": True,
        "rope_scaling": {"kind": "yarn", "factor": 4.0, "original_max_position_embeddings": TRAINED},
        "max_position_embeddings": 64,
    },
    "qwen2-linear": {
        "architecture": "qwen2",
        "attention_bias": True,
        "rope_scaling": {"kind": "linear", "factor": 2.0},
    },
    "qwen3": {"architecture": "qwen3", "qk_norm": True, "head_dim": 16},
    "phi3": {
        "architecture": "phi3",
        "rope_theta": 1e4,
        "num_key_value_heads": 4,
        "rope_scaling": {"kind": "longrope", "original_max_position_embeddings": TRAINED, **FACTORS},
        "max_position_embeddings": 128,
    },
    "phi3-4k": {"architecture": "phi3", "rope_theta": 1e4, "num_key_value_heads": 4},
}
BELOW, BEYOND = TRAINED - 3, 2 * TRAINED + 5


def config_of(kind: str) -> DecoderConfig:
    base: dict[str, Any] = {
        "vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": False, "rope_theta": 1e6,
        "max_position_embeddings": TRAINED,
    }  # fmt: skip
    return DecoderConfig(**{**base, **KINDS[kind]})


def rope_parameters(config: DecoderConfig) -> dict[str, Any]:
    """Theirs from ours."""
    scaling = config.rope_scaling
    if scaling is None:
        return {"rope_type": "default", "rope_theta": config.rope_theta}
    fields = {
        "linear": ("factor",),
        "dynamic": ("factor",),
        "yarn": ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow"),
        "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
        "longrope": ("original_max_position_embeddings", "short_factor", "long_factor"),
    }[scaling.kind]
    given = {"rope_type": scaling.kind, "rope_theta": config.rope_theta}
    values = {field: getattr(scaling, field) for field in fields}
    return given | {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def pair(kind: str) -> tuple[Decoder, torch.nn.Module]:
    """Ours and theirs with the same weights, wide enough that no branch is negligible."""
    config = config_of(kind)
    ours = Decoder(config).eval()
    generator = torch.Generator().manual_seed(len(kind))
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.normal_("norm" in name, 0.25, generator=generator)
        ours.lm_head.weight.mul_(0.5)  # logits of about 3, twice as exact as the tolerance asks
    return ours, theirs_like(ours)


def theirs_like(ours: Decoder) -> torch.nn.Module:
    config = ours.config
    model = THEIRS[config.architecture]
    shape = config.model_dump(
        exclude={"architecture", "attention_bias", "qk_norm", "rope_scaling", "rope_theta", "head_dim"}
    )
    extra: dict[str, Any] = {"rope_parameters": rope_parameters(config), "head_dim": config.head_width}
    if config.architecture == "phi3":
        extra |= {"pad_token_id": 0, "original_max_position_embeddings": TRAINED}
    theirs = model(model.config_class(**shape, **extra, attn_implementation="eager")).eval()
    theirs.load_state_dict(their_weights(ours, fused=config.architecture == "phi3"))
    return theirs


def their_weights(ours: Decoder, fused: bool) -> dict[str, torch.Tensor]:
    """Our tensors under their names; Phi-3's fused as its files hold them."""
    weights = {
        name if name.startswith("lm_head") else f"model.{name}": tensor.detach()
        for name, tensor in ours.state_dict().items()
    }
    if not fused:
        return weights
    for layer in range(ours.config.num_hidden_layers):
        stem = f"model.layers.{layer}."
        parts = [weights.pop(f"{stem}self_attn.{letter}_proj.weight") for letter in "qkv"]
        weights[f"{stem}self_attn.qkv_proj.weight"] = torch.cat(parts)
        parts = [weights.pop(f"{stem}mlp.{name}_proj.weight") for name in ("gate", "up")]
        weights[f"{stem}mlp.gate_up_proj.weight"] = torch.cat(parts)
    return weights


def sample(length: int) -> torch.Tensor:
    return torch.randint(1, 60, (length,), generator=torch.Generator().manual_seed(length))


@torch.no_grad()
def our_logits(ours: Decoder, *samples: torch.Tensor) -> torch.Tensor:
    layout = Packed(tuple(len(each) for each in samples))
    return ours.logits(ours(ours.embed(torch.cat(samples)), layout))


@torch.no_grad()
def their_logits(theirs: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Of a single sequence, with nothing remembered from the one before."""
    if hasattr(theirs.model.rotary_emb, "max_seq_len_cached"):
        theirs(ids[None, :2])  # their dynamic NTK resets on a short sequence
    return theirs(ids[None]).logits[0]


@pytest.mark.parametrize("length", [BELOW, TRAINED, TRAINED + 1, BEYOND])
@pytest.mark.parametrize("kind", KINDS)
def test_logits(kind: str, length: int) -> None:
    ours, theirs = pair(kind)
    expected = their_logits(theirs, sample(length))
    torch.testing.assert_close(our_logits(ours, sample(length)), expected, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_neighbours_of_other_lengths_change_nothing(kind: str) -> None:
    """One below the trained length and one beyond, in either order: each as transformers has it alone."""
    ours, theirs = pair(kind)
    short, long = sample(BELOW), sample(BEYOND)
    expected = [their_logits(theirs, short), their_logits(theirs, long)]
    torch.testing.assert_close(our_logits(ours, short, long), torch.cat(expected), **TOLERANCE)
    torch.testing.assert_close(our_logits(ours, long, short), torch.cat(expected[::-1]), **TOLERANCE)


@pytest.mark.parametrize("kind", [kind for kind, fields in KINDS.items() if "rope_scaling" in fields])
def test_scaling_matters(kind: str) -> None:
    """Without it the logits beyond the trained length are others, so the tests above can fail."""
    ours, _ = pair(kind)
    plain = Decoder(ours.config.model_copy(update={"rope_scaling": None})).eval()
    plain.load_state_dict(ours.state_dict())
    gap = (our_logits(plain, sample(BEYOND)) - our_logits(ours, sample(BEYOND))).abs().max()
    assert gap > 1e-2


@torch.no_grad()
def greedy(ours: Decoder, ids: torch.Tensor, count: int) -> list[int]:
    """Best tokens one by one, with a cache."""
    config = ours.config
    room = len(ids) + count
    cache = KVCache(config.num_hidden_layers, 1, room, config.num_key_value_heads, config.head_width)
    answer: list[int] = []
    new, context = ids, 0
    while len(answer) < count:
        hidden = ours(ours.embed(new), Paged((len(new),), (context,), ((0,),)), cache=cache)
        context += len(new)
        answer.append(int(ours.logits(hidden[-1]).argmax()))
        new = torch.tensor(answer[-1:])
    return answer


@torch.no_grad()
def their_greedy(theirs: torch.nn.Module, ids: torch.Tensor, count: int) -> list[int]:
    out = theirs.generate(
        ids[None], max_new_tokens=count, do_sample=False, use_cache=True, eos_token_id=None, pad_token_id=0
    )
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("start", ["below", "across", "beyond"])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_with_a_cache(kind: str, start: str) -> None:
    """Prompt and answer below the trained length; an answer that crosses it; a prompt beyond it."""
    ours, theirs = pair(kind)
    length, count = {"below": (5, 8), "across": (BELOW, 12), "beyond": (BEYOND, 12)}[start]
    if kind == "phi3" and start == "across":
        return  # transformers' Phi-3 fills its cache anew at the trained length: next test
    answer = greedy(ours, sample(length), count)
    assert answer == their_greedy(theirs, sample(length), count)
    assert len(set(answer)) > 2, "a constant answer tests nothing"


def test_phi3_answers_across_the_trained_length_as_without_a_cache() -> None:
    """Their `generate` starts the cache again there, which is what no cache at all gives."""
    ours, theirs = pair("phi3")
    ids = sample(BELOW)
    for _ in range(12):
        ids = torch.cat((ids, our_logits(ours, ids)[-1:].argmax(-1)))
    assert ids[BELOW:].tolist() == their_greedy(theirs, sample(BELOW), 12)


@pytest.mark.parametrize("kind", ["qwen3", "internlm2", "phi3"])
def test_gradients(kind: str) -> None:
    """Training sees the same slopes, through QK-norm and stretched positions."""
    ours, theirs = pair(kind)
    ids = sample(BEYOND)
    goal = torch.randn(BEYOND, 60, generator=torch.Generator().manual_seed(5)) / BEYOND
    (ours.logits(ours(ours.embed(ids), Packed((BEYOND,)))) * goal).sum().backward()
    (theirs(ids[None]).logits[0] * goal).sum().backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    compared = 0
    for name, parameter in ours.named_parameters():
        key = name if name.startswith("lm_head") else f"model.{name}"
        if key in expected:  # all but Phi-3's fused ones
            torch.testing.assert_close(parameter.grad, expected[key], atol=1e-5, rtol=1e-4)
            compared += 1
    assert compared >= 3 * 4 + 3
