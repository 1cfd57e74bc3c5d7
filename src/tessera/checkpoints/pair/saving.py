"""Write the folder of a contrastive pair."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.files.shards import MAX_SHARD_BYTES, write_shards
from tessera.checkpoints.save import TOKENIZER_FILES
from tessera.checkpoints.weights import tensors_of, write_as
from tessera.families.pairs import PairFamily, PairReading
from tessera.models.pair.pair import QllamaPair


def save_pair(
    folder: str | Path,
    model: QllamaPair,
    family: PairFamily,
    reading: PairReading,
    tokenizer: Tokenizer,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Write config, weights and tokenizer under the released names; returns the folder.

    `dtype` casts the weights (None keeps theirs). ValueError when `reading` describes another model.
    """
    if model.config != reading.config:
        raise ValueError(
            f"reading.config of {reading.name!r} describes another model than the one given: pass the config "
            "that the model was built from"
        )
    return write_pair(folder, tensors_of(model, dtype), family, reading, tokenizer, max_shard_bytes)


def write_pair(
    folder: str | Path,
    tensors: Iterable[tuple[str, torch.Tensor]],
    family: PairFamily,
    reading: PairReading,
    tokenizer: Tokenizer,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """As `save_pair`, from own names and tensors that come one by one; returns the folder."""
    root = Path(folder)
    write_shards(root, write_as(tensors, family.layout.key_table()), max_shard_bytes)
    for name in (*TOKENIZER_FILES, *family.layout.FILES):
        (root / name).unlink(missing_ok=True)  # of an earlier save, which would contradict the new one
    tokenizer.save(root)
    family.layout.write_config(root, reading, tokenizer)
    return root
