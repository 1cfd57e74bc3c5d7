"""InternViT by its weights alone, where no config lies beside them: files of the code for classification and
segmentation have none (docs/facts/backbone.md)."""

from collections.abc import Mapping
from typing import Any

from tessera.families.architecture import EncoderReading
from tessera.families.internvl.weights import VIT, part_tables
from tessera.families.keymap import KeyMap, Shape
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD, POSITIONS, VisionConfig

PATCHES = "vision.embeddings.patch_embedding.weight"
HEADS = {3200: 25, 1024: 16}
"""Heads of the released ones by their width: they leave no trace in shapes."""


def encoder_by_shapes(shapes: Mapping[str, Shape], said: Mapping[str, Any]) -> EncoderReading | None:
    """The encoder with tensors of these shapes, fields that somebody has `said` beside; None when there is
    none. ValueError where its heads are nowhere said.
    """
    tables = list(part_tables("vision", None, shapes))
    table = next((one for one in tables if _key(one, PATCHES) in shapes), None)
    if table is None or _key(table, POSITIONS) not in shapes:
        return None
    width, _, patch, _ = shapes[_key(table, PATCHES)]
    heads = said.get("num_attention_heads", HEADS.get(width))
    if heads is None:
        raise ValueError(
            f"num_attention_heads: no config.json lies beside these weights, and a ViT of width {width} is "
            'none that was released; put config.json there, or give config={"num_attention_heads": ...}'
        )
    read = _shaped(table, shapes) | {"hidden_size": width, "patch_size": patch, "num_attention_heads": heads}
    grid = round((shapes[_key(table, POSITIONS)][1] - 1) ** 0.5)
    config = VisionConfig.model_validate(read | {"image_size": grid * patch} | dict(said))
    return EncoderReading(config, IMAGENET_MEAN, IMAGENET_STD)


def _shaped(table: KeyMap, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """What the first block and their number tell."""
    layers = 0
    while _key(table, f"vision.layers.{layers}.ls1") in shapes:
        layers += 1
    first = VIT.replace("#", "0")
    return {
        "num_hidden_layers": layers,
        "intermediate_size": shapes[_key(table, f"{first}mlp.fc1.weight")][0] if layers else 1,
        "norm_type": "layer_norm" if _key(table, f"{first}norm1.bias") in shapes else "rms_norm",
        "qk_normalization": _key(table, f"{first}attn.q_norm.weight") in shapes,
        "qkv_bias": _key(table, f"{first}attn.qkv.bias") in shapes,
    }


def _key(table: KeyMap, own: str) -> str:
    return table.group(own).stored[0]
