"""InternViT out of the series' other members; and a member that has none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import tessera
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.pair.loading import load_pair
from tests.checkpoints.test_pair_folders import written
from tests.families import llava_form, test_mono, test_omni


def same(folder: Path, module: torch.nn.Module, side: int) -> None:
    """As the model's own ViT computes."""
    pixels = torch.randn(1, 3, side, side)
    with torch.no_grad():
        wanted = module(pixels)
    torch.testing.assert_close(
        tessera.load_vision(folder, "cpu")(pixels).last_hidden_state, wanted, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("side", [56, 70])
def test_of_the_pair(side: int, tmp_path: Path) -> None:
    folder = written(tmp_path / "InternVL-14B-224px", force_image_size=side)
    same(folder, load_pair(folder).model.vision, side)


def test_of_llavas_form(tmp_path: Path) -> None:
    llava_form.write(tmp_path)
    same(tmp_path, load_checkpoint(tmp_path).model.vision, llava_form.SIDE)


def test_of_the_one_with_ears(tmp_path: Path) -> None:
    tokenizer = tessera.load().loaded.tokenizer.with_added(test_omni.SOUNDS)
    test_omni.released(tmp_path, tokenizer, "audio_model.")
    same(tmp_path, load_checkpoint(tmp_path).model.vision, 16)


def test_mono_has_none(tmp_path: Path) -> None:
    tokenizer = tessera.load().loaded.tokenizer
    tokenizer.save(tmp_path)
    save_file(test_mono.tensors(tokenizer.vocab_size), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(test_mono.config_json(tokenizer.vocab_size)))
    with pytest.raises(ValueError, match="has no InternViT, only patch embeddings; give another"):
        tessera.load_vision(tmp_path)
