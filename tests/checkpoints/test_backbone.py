"""`tessera.load_vision`: every form of an InternViT, against transformers and a slow oracle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import tessera
from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.save import save_checkpoint
from tests.checkpoints import base_folders
from tests.engine import tiny

Stored = dict[str, torch.Tensor]
LARGE = {"image_size": 12, "patch_size": 4, "hidden_size": 24, "num_hidden_layers": 3} | {
    "num_attention_heads": 3,
    "intermediate_size": 40,
}
"""The rest is what the official class takes: RMS norm, QK-norm, no bias on query, key and value."""


def large_weights() -> Stored:
    """Under the names of the 6B's own folder."""
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    found = {
        "embeddings.class_embedding": drawn(1, 1, 24),
        "embeddings.patch_embedding.weight": drawn(24, 3, 4, 4),
        "embeddings.patch_embedding.bias": drawn(24),
        "embeddings.position_embedding": drawn(1, 10, 24),
    }
    for layer in range(3):
        block = {
            **{f"attn.{norm}.weight": 1 + drawn(24) for norm in ("q_norm", "k_norm")},
            **{f"{norm}.weight": 1 + drawn(24) for norm in ("norm1", "norm2")},
            **{
                "attn.qkv.weight": drawn(72, 24),
                "attn.proj.weight": drawn(24, 24),
                "attn.proj.bias": drawn(24),
            },
            **{"mlp.fc1.weight": drawn(40, 24), "mlp.fc1.bias": drawn(40)},
            **{
                "mlp.fc2.weight": drawn(24, 40),
                "mlp.fc2.bias": drawn(24),
                "ls1": drawn(24),
                "ls2": drawn(24),
            },
        }
        found |= {f"encoder.layers.{layer}.{name}": tensor for name, tensor in block.items()}
    return found


def oracle(weights: Stored, pixels: torch.Tensor) -> list[torch.Tensor]:
    """All states, by loops over the definition in docs/facts/architecture.md."""

    def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    kernel, bias = (weights[f"embeddings.patch_embedding.{name}"] for name in ("weight", "bias"))
    patches = F.conv2d(pixels, kernel, bias, stride=4)
    down, across = patches.shape[2:]
    stored = weights["embeddings.position_embedding"]
    grid = stored[:, 1:].reshape(1, 3, 3, 24).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (down, across), mode="bicubic", align_corners=False)
    x = patches.flatten(2).transpose(1, 2) + grid.flatten(2).transpose(1, 2)
    first = (weights["embeddings.class_embedding"] + stored[:, :1]).expand(len(x), -1, -1)
    states = [torch.cat((first, x), dim=1)]
    for layer in range(3):
        w = {n.removeprefix(f"encoder.layers.{layer}."): t for n, t in weights.items()}
        x = states[-1]
        q, k, v = (rms(x, w["norm1.weight"]) @ w["attn.qkv.weight"].t()).split(24, dim=-1)
        q, k = rms(q, w["attn.q_norm.weight"]), rms(k, w["attn.k_norm.weight"])
        heads = []
        for head in range(3):
            part = slice(8 * head, 8 * head + 8)
            scores = (q[..., part] @ k[..., part].transpose(1, 2) / 8**0.5).softmax(-1)
            heads.append(scores @ v[..., part])
        x = x + (torch.cat(heads, -1) @ w["attn.proj.weight"].t() + w["attn.proj.bias"]) * w["ls1"]
        inner = F.gelu(rms(x, w["norm2.weight"]) @ w["mlp.fc1.weight"].t() + w["mlp.fc1.bias"])
        states.append(x + (inner @ w["mlp.fc2.weight"].t() + w["mlp.fc2.bias"]) * w["ls2"])
    return states


def timm_names(weights: Stored) -> Stored:
    """As the authors' conversion for classification renames them."""

    def renamed(name: str) -> str:
        for theirs, ours in (
            ("embeddings.class_embedding", "cls_token"),
            ("embeddings.position_embedding", "pos_embed"),
            ("embeddings.patch_embedding", "patch_embed.proj"),
            ("encoder.layers", "blocks"),
            ("ls1", "ls1.gamma"),
            ("ls2", "ls2.gamma"),
        ):
            name = name.replace(theirs, ours)
        return name

    return {renamed(name): tensor for name, tensor in weights.items()}


def write_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "intern_vit_6b", **LARGE}))


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (8, 28), (20, 12)])
def test_as_transformers_computes_at_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    theirs = base_folders.vit(tmp_path)
    encoder = tessera.load_vision(tmp_path, "cpu")
    pixels = torch.randn(3, 3, *size)
    found = encoder(pixels, output_hidden_states=True, layers=(0, -1, 1), batch_size=2)
    with torch.no_grad():
        wanted = theirs(pixels, output_hidden_states=True)
    close(found.last_hidden_state, wanted.last_hidden_state)
    assert found.hidden_states is not None and len(found.hidden_states) == 3
    for ours, other in zip(found.hidden_states, wanted.hidden_states, strict=True):
        close(ours, other)
    close(found.pooler_output, wanted.last_hidden_state[:, 0])
    close(found.patches.flatten(1, 2), wanted.last_hidden_state[:, 1:])
    assert (
        found.patches.shape == (3, size[0] // 4, size[1] // 4, 24) and found.grid == found.patches.shape[1:3]
    )
    close(found.layers[1].flatten(1, 2), wanted.hidden_states[1][:, 1:])


@pytest.mark.parametrize("form", ["safetensors", "bin", "pth", "pth alone", "segmentation", "sharded"])
def test_forms_of_the_large_one(form: str, tmp_path: Path) -> None:
    """The 6B's folder, and the files of the code for classification and segmentation, against the oracle."""
    weights, place = large_weights(), tmp_path
    config = None
    if form == "safetensors":
        save_file(weights, tmp_path / "model.safetensors")
    elif form == "bin":
        torch.save(weights, tmp_path / "pytorch_model.bin")
    elif form == "sharded":
        first = dict(list(timm_names(weights).items())[:20])
        second = {key: tensor for key, tensor in timm_names(weights).items() if key not in first}
        table = {}
        for number, part in enumerate((first, second), 1):
            save_file(part, tmp_path / (name := f"model-0000{number}-of-00002.safetensors"))
            table |= dict.fromkeys(part, name)
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    elif form == "segmentation":
        named = {f"backbone.{key}": tensor for key, tensor in timm_names(weights).items()}
        torch.save({"meta": {"epoch": 1}, "state_dict": named}, place := tmp_path / "linear.pth")
        config = {"num_attention_heads": 3}
    else:
        torch.save({"module": timm_names(weights)}, tmp_path / "intern_vit.pth")
        config = {"num_attention_heads": 3} if form == "pth alone" else None
    if config is None:
        write_config(tmp_path)
    encoder = tessera.load_vision(place, "cpu", config=config)
    for size in ((12, 12), (8, 20)):
        pixels = torch.randn(2, 3, *size)
        found = encoder(pixels, output_hidden_states=True).hidden_states
        assert found is not None
        for ours, wanted in zip(found, oracle(weights, pixels), strict=True):
            close(ours, wanted)
    assert (
        "vision encoder" in repr(encoder) and encoder.config.qk_normalization and not encoder.config.qkv_bias
    )


@pytest.mark.parametrize("layout", ["tessera", "official", "transformers", "no tokenizer"])
def test_out_of_a_chat_model(layout: str, tmp_path: Path) -> None:
    written = "official" if layout == "no tokenizer" else layout
    save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer(), written)  # type: ignore[arg-type]
    if layout == "no tokenizer":
        for path in tmp_path.glob("*token*"):
            path.unlink()
    side = tiny.family().model.tile_side
    tiles = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    with torch.no_grad():
        wanted = tiny.model().look(tiles)
    close(tessera.load_vision(tmp_path, "cpu")(tiles).patches.flatten(1, 2), wanted)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisionEncoder]:
    folder = tmp_path_factory.mktemp("vit")
    base_folders.vit(folder)
    yield tessera.load_vision(folder, "cpu")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pictures_of_every_kind_are_one(small: VisionEncoder, tmp_path: Path) -> None:
    array = picture(20, 30)
    path = tmp_path / "a.png"
    PIL.Image.fromarray(array).save(path)
    wanted = small(array).last_hidden_state
    for given in (path, str(path), path.read_bytes(), PIL.Image.open(path), torch.from_numpy(array), [array]):
        assert torch.equal(small(given).last_hidden_state, wanted)
    both = small([path, PIL.Image.fromarray(picture(8, 9))])
    assert len(both) == 2 and torch.equal(both.pooled[:1], wanted[:, 0])
    resized = PIL.Image.fromarray(array).resize((16, 16), PIL.Image.Resampling.BICUBIC)
    mean, std = np.array(small.mean), np.array(small.std)
    pixels = torch.from_numpy((np.asarray(resized) / 255 - mean) / std).permute(2, 0, 1).float()
    close(small(pixels).last_hidden_state, wanted)


def test_sides_are_rounded_or_filled_up_as_told(small: VisionEncoder) -> None:
    array = picture(18, 31)
    assert small(array, size="own", fit="round").grid == (4, 8)
    filled = small(array, size="own", fit="pad")
    assert filled.grid == (5, 8)
    pixels = small.pixels("own", "pad").stack(list(small.pixels("own", "pad").of(array)), torch.zeros(1))
    assert pixels.shape == (1, 3, 20, 32) and not pixels[..., 18:, :].any() and not pixels[..., 31:].any()
    close(small(pixels).last_hidden_state, filled.last_hidden_state)
    assert small(array, size=(8, 24)).grid == (2, 6)
    assert small(torch.randn(1, 3, 10, 13), fit="pad").grid == (3, 4)
    with pytest.raises(ValueError, match=r"18 x 31 .* no multiple of the patch, 4: give fit='round'"):
        small(array, size="own")
    with pytest.raises(ValueError, match=r"size = 'own': pictures of 16 x 16 and 20 x 16 pixels"):
        small([picture(16, 16), picture(20, 16)], size="own")


def test_a_stream_takes_a_batch_at_a_time(small: VisionEncoder) -> None:
    """Of endless pictures no more are read than a batch and one needs; sizes may change on the way."""
    read = 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield picture(16, 16 if read < 4 else 24, read)

    stream = small.stream(pictures(), size="own", batch_size=2)
    assert len(next(stream)) == 2 and read == 3
    assert len(next(stream)) == 1 and read == 4, "the size changes behind the third"
    assert next(stream).grid == (4, 6) and read == 6


def test_what_cannot_be_is_told(small: VisionEncoder, tmp_path: Path) -> None:
    for settings, words in (
        ({"layers": (7,)}, r"layers .*= 7: this ViT has states 0\.\.2"),
        ({"layers": 1}, "layers = 1: give a list of whole numbers"),
        ({"layers": "12"}, "layers = '12': give a list"),
        ({"layers": (1.5,)}, r"layers = \(1.5,\): give a list"),
        ({"layers": (True,)}, r"layers = \(True,\): give a list"),
        ({"layers": iter((1,))}, "layers = .*: give a list"),
        ({"size": 0}, "size = 0: sides are at least 1"),
        ({"size": "big"}, "size = 'big': give a side"),
        ({"fit": "crop"}, "fit = 'crop': choose 'round', 'pad'"),
        ({"batch_size": 0}, "batch_size = 0: give at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            small(picture(16, 16), **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"picture 1: .*no\.png"):
        small([picture(16, 16), tmp_path / "no.png"])
    with pytest.raises(ValueError, match=r"float32 \(1, 16, 16, 3\): normalised pixels are \[N, 3, H, W\]"):
        small(torch.zeros(1, 16, 16, 3))
    with pytest.raises(ValueError, match=r"array float64 .* is no picture"):
        small(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="no picture was given"):
        small([])


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "vit.pth"
    torch.save({"module": timm_names(large_weights())}, file)
    with pytest.raises(ValueError, match="num_attention_heads: no config.json .* width 24"):
        tessera.load_vision(file)
    torch.save({"head.weight": torch.ones(2)}, file)
    with pytest.raises(ValueError, match="no key belongs to an InternViT"):
        tessera.load_vision(file)
    torch.save({"module": Path("a")}, file)
    with pytest.raises(ValueError, match="would run code"):
        tessera.load_vision(file)
    (tmp_path / "told").mkdir()
    write_config(tmp_path / "told")
    with pytest.raises(ValueError, match="config: .*told says its own shapes; leave config out"):
        tessera.load_vision(tmp_path / "told", config={"num_attention_heads": 2})
    with pytest.raises(ValueError, match="not in the catalogue; did you mean InternViT-300M-448px"):
        tessera.load_vision("InternViT-300M-448")
    weights = large_weights()
    del weights["encoder.layers.2.ls1"]
    (tmp_path / "short").mkdir()
    save_file(weights, tmp_path / "short" / "model.safetensors")
    write_config(tmp_path / "short")
    with pytest.raises(ValueError, match=r"no file holds 'encoder\.layers\.2\.ls1'"):
        tessera.load_vision(tmp_path / "short")
