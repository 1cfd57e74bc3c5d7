"""Toy members of every decoder kind with both ViTs, random weights, and a prompt with pictures."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tessera.chat.encoder import Encoded
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.save import save_checkpoint
from tessera.families.family import Family
from tessera.models.config import DecoderKind
from tessera.models.experts import ExpertsConfig
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.rope_scaling import RopeScaling
from tests.engine import tiny

KINDS: tuple[DecoderKind, ...] = ("llama", "internlm2", "internlm3", "qwen2", "qwen3", "phi3")
VITS = ("300M", "6B")

DECODERS: dict[DecoderKind, dict[str, Any]] = {
    "llama": {"rope_theta": 1e4, "rms_norm_eps": 1e-5},
    "internlm2": {"rms_norm_eps": 1e-5, "rope_scaling": RopeScaling(kind="dynamic", factor=2.0)},
    "internlm3": {
        "rope_theta": 5e7,
        "head_dim": 12,
        "rope_scaling": RopeScaling(kind="dynamic", factor=6.0),
    },
    "qwen2": {"attention_bias": True},
    "qwen3": {"qk_norm": True, "head_dim": 12},
    "phi3": {
        "num_key_value_heads": 4,
        "rope_theta": 1e4,
        "max_position_embeddings": 128,
        "rope_scaling": RopeScaling(
            kind="longrope",
            factor=4.0,
            original_max_position_embeddings=32,
            short_factor=(1.0, 1.1, 1.2, 1.3),
            long_factor=(1.5, 2.0, 2.5, 3.0),
        ),
    },
    "qwen3_moe": {
        "qk_norm": True,
        "head_dim": 12,
        "experts": ExpertsConfig(count=4, top_k=2, intermediate_size=24, sparse_step=1, dense_layers=(1,)),
    },
    "gpt_oss": {
        "attention_bias": True,
        "attention_output_bias": True,
        "attention_sinks": True,
        "sliding_window": 5,
        "sliding_layers": (0,),
        "intermediate_size": 24,
        "rope_scaling": RopeScaling(
            kind="yarn", factor=4.0, original_max_position_embeddings=64, truncate=False
        ),
        "experts": ExpertsConfig(
            count=4, top_k=2, intermediate_size=24, shares="chosen", gate="clamped", bias=True
        ),
    },
}
"""The last two, with experts, stand beside `KINDS`: their own tests build them."""
VISIONS: dict[str, dict[str, Any]] = {
    "300M": {"norm_type": "layer_norm", "qk_normalization": False, "qkv_bias": True},
    "6B": {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False},
}
TEMPLATES: dict[DecoderKind, str] = {"internlm2": "internlm2-chat", "llama": "Hermes-2"}


def family(kind: DecoderKind, vit: str = "300M") -> Family:
    """A toy member; its name says what it is."""
    base = tiny.family()
    decoder = base.model.decoder.model_copy(
        update={"architecture": kind, "attention_bias": False, **DECODERS[kind]}
    )
    vision = base.model.vision.model_copy(update=VISIONS[vit])
    model = base.model.model_copy(update={"decoder": decoder, "vision": vision})
    changes = {"name": f"toy-{kind}-{vit}", "model": model, "template": TEMPLATES.get(kind, "internvl2_5")}
    return base.model_copy(update=changes)


@functools.cache
def model(kind: DecoderKind, vit: str = "300M") -> VLM:
    """Random weights, norms and biases too, so that no tensor may be taken for another."""
    built = VLM(family(kind, vit).model).eval()
    initialise(built, 5)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
            if name.endswith(("linear_2.weight", "o_proj.weight", "down_proj.weight")):
                parameter.mul_(6.0)
    return built


def saved(
    folder: Path, kind: DecoderKind = "qwen2", layout: LayoutName = "official", vit: str = "300M", **more: Any
) -> Path:
    """The toy member's folder in a layout; `more` are arguments of `save_checkpoint`."""
    return save_checkpoint(folder, model(kind, vit), family(kind, vit), tiny.tokenizer(), layout, **more)


def encoded(words: str = "which is red") -> Encoded:
    """A question about two pictures."""
    return tiny.prompt(words, tiny.picture(3), tiny.picture(4, 30, 60))


def prompt() -> tuple[torch.Tensor, torch.Tensor]:
    """The same as ids int64 [T] and tiles uint8 [N, S, S, 3]."""
    found = encoded()
    return torch.from_numpy(found.ids.astype(np.int64)), torch.from_numpy(found.tiles)
