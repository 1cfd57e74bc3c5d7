"""Checkpoints of random weights and prompts for them: what both sides of `inference.py` open and answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from tessera.chat.message import Conversation, ask
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import empty_model
from tessera.checkpoints.save import write_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import get_family
from tessera.families.family import Family
from tessera.imaging.grid import Tiling
from tessera.models.vlm import normalise

SHAPES = {"1b": "InternVL3-1B", "8b": "InternVL3-8B", "toy": "scale_model"}
DRAWN = 2**22 + 1
"""Random numbers that are drawn once and repeated: odd, so that rows differ, and writing is not drawing."""


def family_of(shape: str, tokenizer: Tokenizer) -> Family:
    """The released shape with the vocabulary size of the release and the ids of the shipped tokenizer."""
    released = get_family(SHAPES[shape])
    fitted = released.fitted(tokenizer)
    if shape == "toy":
        return fitted
    decoder = fitted.model.decoder.model_copy(update={"vocab_size": released.model.decoder.vocab_size})
    return fitted.model_copy(update={"model": fitted.model.model_copy(update={"decoder": decoder})})


def write(folder: Path, shape: str, layout: LayoutName) -> Family:
    """A bfloat16 checkpoint; the same weights in every layout. No more than one shard is in memory."""
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    family = family_of(shape, tokenizer)
    write_checkpoint(folder, _weights(family), family, tokenizer, layout, max_shard_bytes=2**30)
    return family


def _weights(family: Family) -> Iterator[tuple[str, torch.Tensor]]:
    drawn = torch.randn(DRAWN, generator=torch.Generator().manual_seed(0))
    start = 0
    for name, parameter in empty_model(family).named_parameters(remove_duplicate=False):
        count = parameter.numel()
        times = -(-(start + count) // DRAWN)
        values = drawn.repeat(times)[start : start + count].view(parameter.shape)
        start = 0 if name.startswith("decoder.lm_head") else (start + count) % DRAWN
        yield name, _scaled(name, values).to(torch.bfloat16)


def _scaled(name: str, values: torch.Tensor) -> torch.Tensor:
    """Norms and layer scales around one, matrices by their width, embeddings larger than biases."""
    if values.dim() == 1:
        centre = 0.0 if name.endswith("bias") else 1.0
        return centre + 0.05 * values
    if "embed" in name:
        return 0.5 * values
    return values / values[0].numel() ** 0.5


def prompts(family: Family, folder: Path, tiles: int) -> dict[str, Path]:
    """Files with ids int64 [T], tiles uint8 [N, S, S, 3] and the normalised pixels float32 [N, 3, S, S] that
    transformers wants: `small` has one tile, `large` up to `tiles` and a thumbnail."""
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    side = family.model.vision.image_size
    files = {}
    for name, limit, size in (("small", 1, (side, side)), ("large", tiles, (4 * side, 3 * side))):
        tiling = Tiling(tile_side=side, max_tiles=limit)
        encoder = family.model_copy(update={"tiling": tiling}).encoder(tokenizer)
        question = ask("What does this picture show? Describe it in a few words.", [_picture(*size)])
        encoded = encoder.encode(Conversation((question,)), generate=True)
        files[name] = folder / f"{name}.npz"
        tiles_seen = torch.from_numpy(encoded.tiles)
        pixels = normalise(tiles_seen, family.model.mean, family.model.std, torch.float32)
        np.savez(files[name], ids=encoded.ids.astype(np.int64), tiles=encoded.tiles, pixels=pixels.numpy())
    return files


def _picture(width: int, height: int) -> PIL.Image.Image:
    """Coloured noise in blocks, so that tiles differ."""
    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 256, (height // 8, width // 8, 3), generator=generator, dtype=torch.uint8)
    return PIL.Image.fromarray(blocks.numpy()).resize((width, height))
