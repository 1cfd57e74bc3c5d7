"""transformers' InternVL with the shape and weights of one of our models, for parity tests and benchmarks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import torch

from tessera.models.config import DecoderConfig, VLMConfig
from tessera.models.vlm import VLM

if TYPE_CHECKING:
    import transformers

RENAMES = (
    (r"^vision\.embeddings\.class_embedding$", "model.vision_tower.embeddings.cls_token"),
    (r"^vision\.embeddings\.position_embedding$", "model.vision_tower.embeddings.position_embeddings"),
    (r"^vision\.embeddings\.patch_embedding", "model.vision_tower.embeddings.patch_embeddings.projection"),
    (r"^vision\.layers\.", "model.vision_tower.encoder.layer."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.attn\.", ".attention."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.ls1$", ".lambda_1"),
    (r"\.ls2$", ".lambda_2"),
    (r"^connector\.norm\.", "model.multi_modal_projector.layer_norm."),
    (r"^connector\.", "model.multi_modal_projector."),
    (r"^decoder\.lm_head\.", "lm_head."),
    (r"^decoder\.", "model.language_model."),
)
"""Our parameter names to theirs, applied in order (docs/facts/key_names.md)."""

_SHARED = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}
_VISION = _SHARED | {"image_size", "patch_size", "norm_type", "layer_norm_eps"}
_TEXT = _SHARED | {"vocab_size", "num_key_value_heads", "rms_norm_eps", "max_position_embeddings"}
"""Fields of the same name in their configs."""


def twin(ours: VLM) -> transformers.InternVLForConditionalGeneration:
    """Their model in evaluation mode and float32, holding copies of our weights; every key must match."""
    import transformers

    theirs = transformers.InternVLForConditionalGeneration(_whole(cast(VLMConfig, ours.config))).eval()
    weights = _renamed(ours)
    if ours.config.decoder.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.language_model.embed_tokens.weight"]
    theirs.load_state_dict(weights)
    return theirs


def _renamed(ours: VLM) -> dict[str, torch.Tensor]:
    """Our tensors under their names, the ViT's fused qkv cut in three."""
    renamed: dict[str, torch.Tensor] = {}
    for name, parameter in ours.named_parameters():
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        tensor = parameter.detach()
        if ".qkv." in name:
            thirds = zip("qkv", tensor.chunk(3), strict=True)
            renamed |= {name.replace(".qkv.", f".{letter}_proj."): part for letter, part in thirds}
        else:
            renamed[name] = tensor
    return renamed


def _whole(config: VLMConfig) -> transformers.InternVLConfig:
    import transformers

    vision = transformers.InternVLVisionConfig(
        **config.vision.model_dump(include=_VISION),
        attention_bias=config.vision.qkv_bias,
        use_qk_norm=config.vision.qk_normalization,
        use_absolute_position_embeddings=True,
        use_mean_pooling=True,  # means: no norm after the last layer
    )
    return transformers.InternVLConfig(
        vision_config=vision,
        text_config=_text(config.decoder),
        image_token_id=config.image_token_id,
        downsample_ratio=config.downsample_ratio,
        tie_word_embeddings=config.decoder.tie_word_embeddings,
    )


def _text(config: DecoderConfig) -> transformers.PretrainedConfig:
    import transformers

    make: Any = transformers.Qwen2Config if config.attention_bias else transformers.LlamaConfig
    if config.qk_norm:
        make = transformers.Qwen3Config
    return make(
        **config.model_dump(include=_TEXT),
        head_dim=config.head_width,
        tie_word_embeddings=config.tie_word_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
    )
