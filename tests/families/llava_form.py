"""A checkpoint in LLaVA's form by an independent hand: key names and arithmetic from the facts alone.

LLaMA is transformers' own; the ViT is written down slowly, one head and one pixel block at a time.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.shipped import shipped_folder

State = dict[str, torch.Tensor]
TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 44}
VIT = {"hidden_size": 24, "num_hidden_layers": 5, "num_attention_heads": 2, "intermediate_size": 20}
PATCH, STORED, SIDE, SELECT = 84, 168, 336, -4
"""Pixels of a patch, of the squares that the tower was trained on, and of those that LLaVA gives it."""
TOWER, EPS = "model.vision_tower.vision_tower.", 1e-5


def tokenizer() -> Tokenizer:
    """With the two of LLaMA's tokens that LLaVA's form needs."""
    return load_tokenizer(shipped_folder("tokenizer")).with_added(["<unk>", "</s>"])


def llama_config(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        **TEXT, vocab_size=vocabulary, rms_norm_eps=EPS, pad_token_id=0, max_position_embeddings=4096
    )


def tower_config() -> dict[str, Any]:
    """config.json of the InternViT alone."""
    said = {"model_type": "intern_vit_6b", "architectures": ["InternVisionModel"], "qk_normalization": True}
    return {
        **said,
        "norm_type": "rms_norm",
        "qkv_bias": False,
        "image_size": STORED,
        "patch_size": PATCH,
        **VIT,
    }


def config(vocabulary: int, tower: str = "./pretrained/tower", **changes: Any) -> dict[str, Any]:
    """config.json as LLaVA's trainer writes it."""
    text = {**TEXT, "vocab_size": vocabulary, "rms_norm_eps": EPS, "hidden_act": "silu"}
    text |= {"num_key_value_heads": 4, "max_position_embeddings": 4096, "tie_word_embeddings": False}
    text |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "pretraining_tp": 1}
    return {
        "_name_or_path": "./pretrained/vicuna-7b-v1.5",
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava",
        **text,
        **{"rope_scaling": None, "use_cache": True, "torch_dtype": "bfloat16"},
        **{"use_mm_proj": True, "mm_vision_tower": tower, "mm_hidden_size": VIT["hidden_size"]},
        **{"mm_vision_select_layer": SELECT, "mm_vision_select_feature": "patch"},
        **{"mm_projector_type": "mlp2x_gelu", "mm_use_im_start_end": False, "mm_use_im_patch_token": False},
        **{"image_aspect_ratio": "pad", "image_grid_pinpoints": None, "tune_mm_mlp_adapter": False},
        **changes,
    }


def tower_state() -> State:
    """Random weights under InternViT's own names."""
    v, inner = VIT["hidden_size"], VIT["intermediate_size"]
    found: dict[str, tuple[int, ...]] = {
        "embeddings.class_embedding": (1, 1, v),
        "embeddings.position_embedding": (1, 1 + (STORED // PATCH) ** 2, v),
        "embeddings.patch_embedding.weight": (v, 3, PATCH, PATCH),
        "embeddings.patch_embedding.bias": (v,),
    }
    block = {"attn.qkv.weight": (3 * v, v), "attn.proj.weight": (v, v), "attn.proj.bias": (v,)}
    block |= {"attn.q_norm.weight": (v,), "attn.k_norm.weight": (v,), "norm1.weight": (v,)}
    block |= {"norm2.weight": (v,), "ls1": (v,), "ls2": (v,), "mlp.fc1.weight": (inner, v)}
    block |= {"mlp.fc1.bias": (inner,), "mlp.fc2.weight": (v, inner), "mlp.fc2.bias": (v,)}
    for layer in range(VIT["num_hidden_layers"]):
        found |= {f"encoder.layers.{layer}.{key}": shape for key, shape in block.items()}
    return drawn(found)


def drawn(shapes: dict[str, tuple[int, ...]]) -> State:
    """Matrices that keep the size of what goes through them; other vectors are small."""
    generator = torch.Generator().manual_seed(len(shapes))
    return {
        key: torch.randn(shape, generator=generator)
        * (0.2 if len(shape) < 2 else math.prod(shape[1:]) ** -0.5)
        for key, shape in shapes.items()
    }


def state(vocabulary: int, inside: bool = True) -> tuple[State, LlamaForCausalLM]:
    """Every weight of a checkpoint, and the LLaMA that has a part of them."""
    torch.manual_seed(0)
    llama = LlamaForCausalLM(llama_config(vocabulary)).eval()
    d, v = TEXT["hidden_size"], VIT["hidden_size"]
    shapes = {"0.weight": (d, v), "0.bias": (d,), "2.weight": (d, d), "2.bias": (d,)}
    weights = {key: value.detach().clone() for key, value in llama.state_dict().items()}
    weights |= {f"model.mm_projector.{key}": value for key, value in drawn(shapes).items()}
    if inside:
        weights |= {TOWER + key: value for key, value in tower_state().items()}
    return weights, llama


def write(folder: Path, inside: bool = True, **changes: Any) -> LlamaForCausalLM:
    """A whole checkpoint; the tower's folder stands beside it, with weights where they are not inside."""
    words = tokenizer()
    words.save(folder)
    weights, llama = state(words.vocab_size, inside)
    (folder / "config.json").write_text(json.dumps(config(words.vocab_size, **changes)))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tower = folder.parent / "tower"
    tower.mkdir(exist_ok=True)
    (tower / "config.json").write_text(json.dumps(tower_config()))
    if not inside:
        save_file(tower_state(), tower / "model.safetensors", metadata={"format": "pt"})
    return llama


def see(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels float [3, S, S] of one square to what the projector gives, [P, D]."""
    weights, _ = state(8)
    w = {key.removeprefix(TOWER): value for key, value in weights.items()}
    x = _embedded(w, pixels)
    for layer in range(VIT["num_hidden_layers"] + 1 + SELECT):
        x = _block(w, f"encoder.layers.{layer}.", x)
    x = F.linear(x[1:], w["model.mm_projector.0.weight"], w["model.mm_projector.0.bias"])
    return F.linear(F.gelu(x), w["model.mm_projector.2.weight"], w["model.mm_projector.2.bias"])


def _embedded(w: State, pixels: torch.Tensor) -> torch.Tensor:
    width, grid, old = VIT["hidden_size"], SIDE // PATCH, STORED // PATCH
    patches = F.conv2d(
        pixels[None],
        w["embeddings.patch_embedding.weight"],
        w["embeddings.patch_embedding.bias"],
        stride=PATCH,
    )
    position = w["embeddings.position_embedding"][0]
    trained = position[1:].T.reshape(1, width, old, old)
    resized = F.interpolate(trained, size=(grid, grid), mode="bicubic", align_corners=False)
    tokens = torch.cat((w["embeddings.class_embedding"][0], patches[0].flatten(1).T))
    return tokens + torch.cat((position[:1], resized[0].flatten(1).T))


def _rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


def _block(w: State, root: str, x: torch.Tensor) -> torch.Tensor:
    heads, width = VIT["num_attention_heads"], VIT["hidden_size"]
    q, k, v = F.linear(_rms(x, w[f"{root}norm1.weight"]), w[f"{root}attn.qkv.weight"]).chunk(3, dim=-1)
    q, k = _rms(q, w[f"{root}attn.q_norm.weight"]), _rms(k, w[f"{root}attn.k_norm.weight"])
    size = width // heads
    mixed = []
    for head in range(heads):
        at = slice(head * size, (head + 1) * size)
        mixed.append((q[:, at] @ k[:, at].T / math.sqrt(size)).softmax(-1) @ v[:, at])
    attended = F.linear(torch.cat(mixed, -1), w[f"{root}attn.proj.weight"], w[f"{root}attn.proj.bias"])
    x = x + attended * w[f"{root}ls1"]
    inner = F.gelu(
        F.linear(_rms(x, w[f"{root}norm2.weight"]), w[f"{root}mlp.fc1.weight"], w[f"{root}mlp.fc1.bias"])
    )
    return x + F.linear(inner, w[f"{root}mlp.fc2.weight"], w[f"{root}mlp.fc2.bias"]) * w[f"{root}ls2"]
