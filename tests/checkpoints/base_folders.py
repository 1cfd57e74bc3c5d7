"""Small language models and ViTs with random weights, in folders as other people publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.internvl.modeling_internvl import InternVLVisionConfig, InternVLVisionModel

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import ADDED_TOKENS
from tessera.checkpoints.weights import write_as
from tessera.families.decoders.weights import decoder_rules
from tessera.families.keymap import KeyMap
from tessera.models.config import DecoderConfig
from tessera.runtime.json_file import read_object, write_json
from tests.engine import tiny

ROWS = 320
"""Rows of the vocabulary: more than the tokenizer has tokens, as in Qwen2's files."""
SIZES = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("Qwen2", {}),
    "qwen2-tied": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "llama": ("Llama", {"rms_norm_eps": 1e-5}),
    "phi3": ("Phi3", {"num_key_value_heads": 4}),
    "internlm2": ("Llama", {"rms_norm_eps": 1e-5}),
}
"""Kind -> class of transformers and what its config has beside the sizes."""
TEMPLATES = {"llama": "Hermes-2", "phi3": "phi3-chat"}


def plain_tokenizer(*more: str) -> Tokenizer:
    """A language model's: it knows turns and no pictures."""
    return tiny.tokenizer().without(ADDED_TOKENS).with_added(more)


def language_model(
    folder: Path,
    kind: str,
    dtype: torch.dtype = torch.float32,
    tokenizer: Tokenizer | None = None,
    rows: int = ROWS,
) -> transformers.PreTrainedModel:
    """Written into the folder and given as transformers opens it."""
    name, more = KINDS[kind]
    torch.manual_seed(7)
    config = getattr(transformers, f"{name}Config")(**SIZES | more | {"vocab_size": rows})
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model = model.to(dtype)
    model.save_pretrained(folder)
    if kind == "internlm2":
        _as_internlm2(folder, config)
    made = plain_tokenizer(*(("<|end|>", "<|user|>") if kind == "phi3" else ()))
    (tokenizer or made).save(folder)
    return model


def _as_internlm2(folder: Path, config: transformers.LlamaConfig) -> None:
    """LLaMA's weights under the names and in the order of InternLM2's files."""
    file, width = folder / "model.safetensors", config.hidden_size // config.num_attention_heads
    theirs = KeyMap(decoder_rules("llama", "model.", "lm_head.", width))
    ours = KeyMap(decoder_rules("internlm2", "model.", "lm_head.", width))
    stored, names = load_file(file), _own_names(config)
    own = ((name, stored[theirs.group(name).stored[0]]) for name in names)
    save_file({key: tensor.contiguous() for key, tensor in write_as(own, ours)}, file)
    said = read_object(folder / "config.json")
    write_json(
        folder / "config.json", said | {"architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2"}
    )


def _own_names(config: transformers.LlamaConfig) -> list[str]:
    from tessera.models.decoder import Decoder

    sizes = {name: getattr(config, name) for name in DecoderConfig.model_fields if name in SIZES}
    decoder = Decoder(DecoderConfig(**sizes, attention_bias=False))
    return [f"decoder.{name}" for name, _ in decoder.named_parameters()]


def vit(folder: Path, side: int = 16) -> InternVLVisionModel:
    """A small InternViT in transformers' layout."""
    torch.manual_seed(8)
    config = InternVLVisionConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=40,
        image_size=[side, side],
        patch_size=[4, 4],
        attention_bias=True,
    )
    model = InternVLVisionModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model
