"""The pair's released form by an independent hand: key names and arithmetic from the facts alone.

The arithmetic is slow on purpose: one rectangle, one explicit mask, transformers' LLaMA parts.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

State = dict[str, torch.Tensor]
VIT = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
VIT |= {"image_size": 56, "patch_size": 14}
TEXT = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 44}
QUERIES, WIDTH, HEADS = 6, 24, 4


def config(vocabulary: int = 101, **changes: Any) -> dict[str, Any]:
    """config.json as the released code writes it, at toy size."""
    text = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": vocabulary, **TEXT}
    text |= {"rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    text |= {"hidden_act": "silu", "max_position_embeddings": 2048, "tie_word_embeddings": False}
    return {
        **{"model_type": "internvl", "architectures": ["InternVLModel"], "auto_map": {}},
        "vision_config": {"model_type": "intern_vit_6b", "qk_normalization": True, **VIT},
        "qllama_config": text,
        **{"clip_embed_dim": WIDTH, "attn_pool_num_heads": HEADS, "num_query_token": QUERIES},
        **{"cross_attention_frequency": 2, "label_smoothing": 0.0, "force_image_size": None},
        **{"use_backbone_lora": 0, "use_qllama_lora": 0, "initializer_range": 0.02},
        **changes,
    }


def shapes(vocabulary: int = 101, positions: int = 17) -> dict[str, tuple[int, ...]]:
    """Every released key and its shape at toy size."""
    v, d, inner = VIT["hidden_size"], TEXT["hidden_size"], TEXT["intermediate_size"]
    found: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (1, 1, v),
        "vision_model.embeddings.position_embedding": (1, positions, v),
        "vision_model.embeddings.patch_embedding.weight": (v, 3, 14, 14),
        "vision_model.embeddings.patch_embedding.bias": (v,),
        **{"query_tokens": (1, QUERIES, d), "text_projection": (d, WIDTH), "logit_scale": ()},
        **{"itm_head.weight": (2, d), "itm_head.bias": (2,)},
        "qllama.model.embed_tokens.weight": (vocabulary, d),
        "qllama.model.norm.weight": (d,),
        "qllama.lm_head.weight": (vocabulary, d),
    }
    mlp = VIT["intermediate_size"]
    block = {"attn.qkv.weight": (3 * v, v), "attn.proj.weight": (v, v), "attn.proj.bias": (v,)}
    block |= {"attn.q_norm.weight": (v,), "attn.k_norm.weight": (v,), "norm1.weight": (v,)}
    block |= {"norm2.weight": (v,), "ls1": (v,), "ls2": (v,), "mlp.fc1.weight": (mlp, v)}
    block |= {"mlp.fc1.bias": (mlp,), "mlp.fc2.weight": (v, mlp), "mlp.fc2.bias": (v,)}
    for layer in range(VIT["num_hidden_layers"]):
        found |= {f"vision_model.encoder.layers.{layer}.{key}": shape for key, shape in block.items()}
    for layer in range(TEXT["num_hidden_layers"]):
        root = f"qllama.model.layers.{layer}."
        found |= {f"{root}self_attn.{letter}_proj.weight": (d, d) for letter in "qkvo"}
        found |= {f"{root}mlp.{name}_proj.weight": (inner, d) for name in ("gate", "up")}
        found |= {f"{root}mlp.down_proj.weight": (d, inner)}
        found |= {f"{root}{name}_layernorm.weight": (d,) for name in ("input", "post_attention")}
        if layer % 2 == 0:
            found |= {f"{root}cross_attn.{letter}_proj.weight": (d, d) for letter in "qo"}
            found |= {f"{root}cross_attn.{letter}_proj.weight": (d, v) for letter in "kv"}
            found |= {f"{root}cross_attn.norm1.weight": (d,), f"{root}cross_attn.norm2.weight": (v,)}
    for name, width in (("clip_projector", v), ("clip_projector2", d)):
        found |= {
            f"{name}.norm1_{letter}.{leaf}": (width,) for letter in "qkv" for leaf in ("weight", "bias")
        }
        found |= {f"{name}.cross_attn.{letter}.weight": (width, width) for letter in "qkv"}
        found |= {f"{name}.cross_attn.{letter}_bias": (width,) for letter in "qkv"}
        found |= {f"{name}.cross_attn.proj.weight": (WIDTH, width), f"{name}.cross_attn.proj.bias": (WIDTH,)}
    return found


def state(seed: int = 0, **sizes: int) -> State:
    """Random weights under the released names."""
    generator = torch.Generator().manual_seed(seed)
    made = {key: 0.2 * torch.randn(shape, generator=generator) for key, shape in shapes(**sizes).items()}
    norms = {key: 1 + value for key, value in made.items() if "norm" in key and key.endswith("weight")}
    return made | norms


def write(folder: Path, weights: State, content: dict[str, Any]) -> Path:
    """A released folder but for its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def pool(weights: State, name: str, tokens: torch.Tensor) -> torch.Tensor:
    """Attention pooling of [N, L, D]: the mean of the tokens asks all of them."""
    width, heads = tokens.shape[-1], HEADS

    def norm(letter: str, x: torch.Tensor) -> torch.Tensor:
        root = f"{name}.norm1_{letter}"
        return F.layer_norm(x, (width,), weights[f"{root}.weight"], weights[f"{root}.bias"], 1e-5)

    def project(letter: str, x: torch.Tensor) -> torch.Tensor:
        out = F.linear(norm(letter, x), weights[f"{name}.cross_attn.{letter}.weight"])
        return (out + weights[f"{name}.cross_attn.{letter}_bias"]).unflatten(-1, (heads, -1)).transpose(1, 2)

    q, k, v = project("q", tokens.mean(1, keepdim=True)), project("k", tokens), project("v", tokens)
    odds = (q @ k.transpose(-1, -2) * (width // heads) ** -0.5).softmax(-1)
    mixed = (odds @ v).transpose(1, 2).flatten(2)
    root = f"{name}.cross_attn.proj"
    return F.linear(mixed, weights[f"{root}.weight"], weights[f"{root}.bias"])[:, 0]


def qllama(
    weights: State, x: torch.Tensor, allowed: torch.Tensor, sight: torch.Tensor | None
) -> torch.Tensor:
    """x [B, L, D] with the queries first, allowed bool [B, L, L], sight [B, P, Dv] or None, to [B, L, D]."""
    settings = LlamaConfig(**TEXT, vocab_size=101, rms_norm_eps=1e-6)
    for layer in range(TEXT["num_hidden_layers"]):
        root = f"qllama.model.layers.{layer}."
        x = x + _attend_itself(weights, root, _norm(weights, f"{root}input_layernorm", x), allowed)
        if layer % 2 == 0 and sight is not None:
            heads, tail = x[:, :QUERIES], x[:, QUERIES:]
            x = torch.cat((heads + _look(weights, root, heads, sight), tail), 1)
        mlp = LlamaMLP(settings)
        names = ("gate_proj", "up_proj", "down_proj")
        own = {f"{name}.weight": weights[f"{root}mlp.{name}.weight"] for name in names}
        x = x + torch.func.functional_call(mlp, own, _norm(weights, f"{root}post_attention_layernorm", x))
    return _norm(weights, "qllama.model.norm", x)


def _norm(weights: State, name: str, x: torch.Tensor) -> torch.Tensor:
    norm = LlamaRMSNorm(x.shape[-1], 1e-6)
    out: torch.Tensor = torch.func.functional_call(norm, {"weight": weights[f"{name}.weight"]}, x)
    return out


def _attend_itself(weights: State, root: str, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    heads = TEXT["num_attention_heads"]
    q, k, v = (
        F.linear(x, weights[f"{root}self_attn.{letter}_proj.weight"])
        .unflatten(-1, (heads, -1))
        .transpose(1, 2)
        for letter in "qkv"
    )
    half = q.shape[-1] // 2
    angle = torch.arange(x.shape[1])[:, None] * 1e4 ** (-torch.arange(half) / half)  # [L, C / 2]
    turn = torch.polar(torch.ones_like(angle), angle)

    def turned(part: torch.Tensor) -> torch.Tensor:
        found = torch.complex(part[..., :half], part[..., half:]) * turn
        return torch.cat((found.real, found.imag), -1)

    scores = turned(q) @ turned(k).transpose(-1, -2) / math.sqrt(q.shape[-1])
    odds = scores.masked_fill(~allowed[:, None], -math.inf).softmax(-1)
    out = (odds @ v).transpose(1, 2).flatten(2)
    return F.linear(out, weights[f"{root}self_attn.o_proj.weight"])


def _look(weights: State, root: str, queries: torch.Tensor, sight: torch.Tensor) -> torch.Tensor:
    heads, root = TEXT["num_attention_heads"], f"{root}cross_attn."
    asked, read = _norm(weights, f"{root}norm1", queries), _norm(weights, f"{root}norm2", sight)
    q, k, v = (
        F.linear(x, weights[f"{root}{letter}_proj.weight"]).unflatten(-1, (heads, -1)).transpose(1, 2)
        for letter, x in zip("qkv", (asked, read, read), strict=True)
    )
    odds = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
    return F.linear((odds @ v).transpose(1, 2).flatten(2), weights[f"{root}o_proj.weight"])
