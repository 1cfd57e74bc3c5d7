"""Mono-InternVL in the layout of its releases, written here by hand: opened, answered, saved back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import get_entry, get_family
from tessera.families.mono import official
from tessera.models.accounting import count_parameters
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM, normalise
from tessera.nn.attention.layout import Packed

WIDTH, INNER, LAYERS, HEADS, KV, PATCH, CHANNELS = 32, 48, 2, 4, 2, 4, 12
HEAD = WIDTH // HEADS
SIDE, STORED = 16, 24
"""Of a tile, in pixels: what the model is asked for, and what its positions are stored for."""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(shipped_folder("tokenizer"))


def config_json(vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "template": "internlm2-chat",
        "force_image_size": SIDE,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 12,
        "use_llm_lora": 0,
        "vision_config": {
            "architectures": ["InternVisionPatchModel"],
            "model_type": "intern_vit_patch",
            "image_size": STORED,
            "patch_size": PATCH,
            "hidden_size": CHANNELS,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "use_flash_attn": True,
        },
        "llm_config": {
            "architectures": ["InternLM2VEForCausalLM"],
            "model_type": "internlm2",
            "auto_map": {"AutoConfig": "configuration_internlm2.InternLM2Config"},
            "attn_implementation": "flash_attention_2",
            "vocab_size": vocabulary,
            "hidden_size": WIDTH,
            "intermediate_size": INNER,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1e6,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
            "max_position_embeddings": 32768,
            "bias": False,
        },
    }


def tensors(vocabulary: int) -> dict[str, torch.Tensor]:
    """Every tensor under the name that the released code gives it."""
    made = torch.Generator().manual_seed(3)
    positions = (STORED // PATCH) ** 2
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (1, 1, CHANNELS),
        "vision_model.embeddings.patch_embedding.weight": (CHANNELS, 3, PATCH, PATCH),
        "vision_model.embeddings.patch_embedding.bias": (CHANNELS,),
        "vision_model.embeddings.position_embedding": (1, 1 + positions, CHANNELS),
        **{f"mlp1.0.{leaf}": (4 * CHANNELS,) for leaf in ("weight", "bias")},
        "mlp1.1.weight": (WIDTH, 4 * CHANNELS),
        "mlp1.3.weight": (WIDTH, WIDTH),
        **{f"mlp1.{number}.bias": (WIDTH,) for number in (1, 3)},
        "language_model.model.tok_embeddings.weight": (vocabulary, WIDTH),
        "language_model.model.norm.weight": (WIDTH,),
        "language_model.output.weight": (vocabulary, WIDTH),
    }
    for number in range(LAYERS):
        block = f"language_model.model.layers.{number}."
        shapes[f"{block}attention.wqkv.weight"] = ((HEADS + 2 * KV) * HEAD, WIDTH)
        shapes[f"{block}attention.wo.weight"] = (WIDTH, WIDTH)
        for name in ("attention_norm", "ffn_norm"):
            shapes[f"{block}{name}.weight"] = (WIDTH,)
        for expert in ("feed_forward", "feed_forward_ve"):
            shapes |= {f"{block}{expert}.{w}.weight": (INNER, WIDTH) for w in ("w1", "w3")}
            shapes[f"{block}{expert}.w2.weight"] = (WIDTH, INNER)
    return {name: 0.3 * torch.randn(shape, generator=made) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def folder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mono") / "Mono-InternVL-toy"
    tokenizer.save(root)
    save_file(tensors(tokenizer.vocab_size), root / "model.safetensors")
    (root / "config.json").write_text(json.dumps(config_json(tokenizer.vocab_size)))
    return root


@pytest.fixture(scope="module")
def opened(folder: Path) -> Loaded:
    return load_checkpoint(folder)


class Oracle:
    """The released computation written plainly, one sequence, both experts on all tokens."""

    def __init__(self, stored: dict[str, torch.Tensor]) -> None:
        self.stored = stored

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """[N, 3, S, S] to [N * tokens, D]."""
        root = "vision_model.embeddings."
        weight, bias = (self.stored[f"{root}patch_embedding.{leaf}"] for leaf in ("weight", "bias"))
        grid = F.conv2d(pixels, weight, bias, stride=PATCH)
        count, _, rows, columns = grid.shape
        old = STORED // PATCH
        table = self.stored[f"{root}position_embedding"][:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
        grid = grid + F.interpolate(table, size=(rows, columns), mode="bicubic", align_corners=False)
        pairs = grid.view(count, -1, rows // 2, 2, columns // 2, 2)
        merged = pairs.permute(0, 2, 4, 3, 5, 1).reshape(count, -1, 4 * CHANNELS)
        x = F.layer_norm(merged, merged.shape[-1:], *self._both("mlp1.0"))
        x = F.linear(F.gelu(F.linear(x, *self._both("mlp1.1"))), *self._both("mlp1.3"))
        return x.flatten(0, 1)

    def _both(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self.stored[f"{name}.weight"], self.stored[f"{name}.bias"]

    def logits(self, ids: torch.Tensor, image_token: int, pixels: torch.Tensor | None) -> torch.Tensor:
        root, visual = "language_model.", (ids == image_token)[:, None]
        x = self.stored[f"{root}model.tok_embeddings.weight"][ids]
        if pixels is not None:
            x = x.masked_scatter(visual, self.features(pixels))
        for number in range(LAYERS):
            block = f"{root}model.layers.{number}."
            x = x + self._attention(self._norm(x, f"{block}attention_norm"), f"{block}attention.")
            y, mask = self._norm(x, f"{block}ffn_norm"), visual.float()
            text, seen = (self._gated(y, f"{block}{name}.") for name in ("feed_forward", "feed_forward_ve"))
            x = x + text * (1 - mask) + seen * mask
        return self._norm(x, f"{root}model.norm") @ self.stored[f"{root}output.weight"].T

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * self.stored[f"{name}.weight"]

    def _gated(self, x: torch.Tensor, root: str) -> torch.Tensor:
        gate, up, down = (self.stored[f"{root}{name}.weight"] for name in ("w1", "w3", "w2"))
        return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T

    def _attention(self, x: torch.Tensor, root: str) -> torch.Tensor:
        rows = (x @ self.stored[f"{root}wqkv.weight"].T).unflatten(-1, (KV, HEADS // KV + 2, HEAD))
        q, k, v = rows[:, :, :-2].flatten(1, 2), rows[:, :, -2], rows[:, :, -1]
        angles = torch.arange(len(x))[:, None] * 1e6 ** -(torch.arange(0, HEAD, 2) / HEAD)
        cosine, sine = (torch.cat((t, t), -1)[:, None] for t in (angles.cos(), angles.sin()))
        q, k = (
            t * cosine + torch.cat((-t[..., HEAD // 2 :], t[..., : HEAD // 2]), -1) * sine for t in (q, k)
        )
        k, v = (t.repeat_interleave(HEADS // KV, 1) for t in (k, v))
        scores = torch.einsum("qhc,khc->hqk", q, k) / HEAD**0.5
        later = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        seen = scores.masked_fill(later, float("-inf")).softmax(-1)
        out = torch.einsum("hqk,khc->qhc", seen, v).flatten(1)
        return out @ self.stored[f"{root}wo.weight"].T


@torch.no_grad()
def test_a_released_folder_gives_the_released_numbers(folder: Path, opened: Loaded) -> None:
    oracle, model = Oracle(load_file(folder / "model.safetensors")), opened.model
    assert opened.family.architecture == "mono" and opened.layout == "official"
    assert "no blocks" in model.config.describe_parts()["vision"]
    image, tokens = model.config.image_token_id, model.config.tokens_per_tile
    tiles = torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    pixels = normalise(tiles, model.config.mean, model.config.std, torch.float32)
    words = torch.arange(7, 16)
    ids = torch.cat((words[:3], torch.full((2 * tokens,), image), words[3:]))
    for stream, seen, given in ((ids, pixels, tiles), (words, None, None)):
        expected = oracle.logits(stream, image, seen)
        found = model.logits(model(stream, Packed((len(stream),)), tiles=given))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_saved_back_it_has_the_same_names_and_numbers(folder: Path, opened: Loaded, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "again", opened.model, opened.family, opened.tokenizer, "official")
    stored, again = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "again"))
    assert stored.keys() == again.keys()
    positions = "vision_model.embeddings.position_embedding"
    assert again.pop(positions).shape[1] == 1 + (SIDE // PATCH) ** 2, "resized to the side that is used"
    assert all(torch.equal(stored[name], value) for name, value in again.items())
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert written["vision_config"]["model_type"] == "intern_vit_patch"
    assert written["llm_config"]["architectures"] == ["InternLM2VEForCausalLM"]
    assert load_checkpoint(tmp_path / "again").family == opened.family


def test_the_other_type_of_the_language_model_is_known(
    folder: Path, opened: Loaded, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Of a config without a class, and with the keys that describe no blocks left out."""
    config = config_json(tokenizer.vocab_size)
    config["llm_config"] = {**config["llm_config"], "model_type": "internlm2ve"}
    del config["llm_config"]["architectures"]
    config["vision_config"] = {k: v for k, v in config["vision_config"].items() if "num_" not in k}
    tokenizer.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    assert load_checkpoint(tmp_path).family.model == opened.family.model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"select_layer": -4}, "select_layer -4"),
        ({"pad2square": True}, "pad2square"),
        ({"vision_config": {"model_type": "intern_vit_patch", "hidden_size": 0}}, "hidden_size"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    folder: Path, tokenizer: Tokenizer, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config_json(tokenizer.vocab_size) | change))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path)


def test_missing_experts_are_named(folder: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    save_file({n: t for n, t in stored.items() if "ve.w2" not in n}, tmp_path / "model.safetensors")
    tokenizer.save(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ValueError, match=r"feed_forward_ve\.w2"):
        load_checkpoint(tmp_path)


def test_other_layouts_keep_the_experts(opened: Loaded, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "own", opened.model, opened.family, opened.tokenizer)
    again = load_checkpoint(tmp_path / "own")
    assert again.family == opened.family
    for (name, value), other in zip(opened.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(value, other), name
    with pytest.raises(ValueError, match="transformers"):
        save_checkpoint(tmp_path / "hf", opened.model, opened.family, opened.tokenizer, "transformers")


def test_a_published_class_with_experts_is_internlm2s(opened: Loaded) -> None:
    decoder = opened.family.model.decoder.model_copy(update={"architecture": "llama"})
    model = opened.family.model.model_copy(update={"decoder": decoder})
    family = opened.family.model_copy(update={"model": model})
    with pytest.raises(ValueError, match="visual_experts with files of llama"):
        official.config_of(family, opened.tokenizer)


def test_counts_of_the_release() -> None:
    """3.11B with experts; what is left without them is InternLM2-1.8B and 14M of eyes."""
    counted = get_entry("Mono-InternVL-2B").parameters()
    assert abs(counted["total"] / 3.11e9 - 1) < 0.01
    plain = get_entry("InternVL2-2B").parameters()["decoder"]
    assert counted["decoder"] - plain == 24 * 3 * 2048 * 8192


def test_counts_are_those_of_the_modules() -> None:
    family = get_family("nano_mono")
    model = VLM(family.model)
    initialise(model, 1)
    assert count_parameters(family.model)["total"] == sum(p.numel() for p in model.parameters())
