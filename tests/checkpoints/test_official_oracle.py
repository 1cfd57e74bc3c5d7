"""An official checkpoint opened by us and, weights renamed by facts 2.2, by transformers: same logits."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import InternVLConfig, InternVLForConditionalGeneration

from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM, normalise
from tessera.nn.layout import Packed
from tests.checkpoints.test_round_trip import other_member
from tests.engine import tiny

RENAMES = (
    (r"^vision_model\.embeddings\.class_embedding", "model.vision_tower.embeddings.cls_token"),
    (
        r"^vision_model\.embeddings\.patch_embedding",
        "model.vision_tower.embeddings.patch_embeddings.projection",
    ),
    (
        r"^vision_model\.embeddings\.position_embedding",
        "model.vision_tower.embeddings.position_embeddings",
    ),
    (r"^vision_model\.encoder\.layers\.", "model.vision_tower.encoder.layer."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.attn\.", ".attention."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.ls1$", ".lambda_1"),
    (r"\.ls2$", ".lambda_2"),
    (r"^mlp1\.0\.", "model.multi_modal_projector.layer_norm."),
    (r"^mlp1\.1\.", "model.multi_modal_projector.linear_1."),
    (r"^mlp1\.3\.", "model.multi_modal_projector.linear_2."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
)


def renamed(folder: Path) -> dict[str, torch.Tensor]:
    """The official file's tensors under transformers' names, the fused qkv cut in three."""
    out: dict[str, torch.Tensor] = {}
    for key, tensor in load_file(folder / "model.safetensors").items():
        new = key
        for pattern, name in RENAMES:
            new = re.sub(pattern, name, new)
        if ".qkv." in new:
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                out[new.replace(".qkv.", f".{letter}_proj.")] = part
        else:
            out[new] = tensor
    return out


def oracle(loaded: Loaded, weights: dict[str, torch.Tensor]) -> InternVLForConditionalGeneration:
    """transformers' model of the same sizes with these weights; all keys must match."""
    vision, decoder = loaded.family.model.vision, loaded.family.model.decoder
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    text = {name: getattr(decoder, name) for name in (*names, "num_key_value_heads", "vocab_size")}
    text |= {"rms_norm_eps": decoder.rms_norm_eps, "head_dim": decoder.head_width}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": decoder.rope_theta}}
    config = InternVLConfig(
        vision_config={
            **{name: getattr(vision, name) for name in names},
            "image_size": [vision.image_size] * 2,
            "patch_size": [vision.patch_size] * 2,
            "norm_type": vision.norm_type,
            "layer_norm_eps": vision.layer_norm_eps,
            "use_qk_norm": vision.qk_normalization,
            "attention_bias": vision.qkv_bias,
        },
        text_config={"model_type": "qwen2" if decoder.attention_bias else "llama", **text},
        image_token_id=loaded.family.model.image_token_id,
        image_seq_length=loaded.family.model.tokens_per_tile,
        vision_feature_layer=loaded.family.model.select_layer,
        tie_word_embeddings=False,
    )
    model = InternVLForConditionalGeneration(config).eval()
    model.load_state_dict(weights, strict=True)
    return model


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_logits_equal_transformers(kind: str, tmp_path: Path) -> None:
    model, family = tiny.model(), tiny.family()
    if kind == "llama":
        _, family = other_member()  # RMSNorm, QK-norm, no biases, second last layer, own mean
        changed = family.model.model_copy(update={"ps_version": "v2"})
        family = family.model_copy(update={"model": changed})
        model = VLM(changed)
        initialise(model, 12)
    save_checkpoint(tmp_path, model, family, tiny.tokenizer(), "official")
    loaded = load_checkpoint(tmp_path)
    peer = oracle(loaded, renamed(tmp_path))
    prompt = tiny.prompt("which is red", tiny.picture(3), tiny.picture(4, 30, 60))
    ids, tiles = torch.from_numpy(prompt.ids.astype(np.int64)), torch.from_numpy(prompt.tiles)
    with torch.inference_mode():
        ours = loaded.model.logits(loaded.model(ids, Packed((len(ids),)), tiles=tiles))
        pixels = normalise(tiles, family.model.mean, family.model.std, torch.float32)
        theirs = peer(input_ids=ids[None], pixel_values=pixels).logits[0]
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
