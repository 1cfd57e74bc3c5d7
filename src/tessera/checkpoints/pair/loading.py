"""Open the folder of a contrastive pair."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.description import CONFIG_FILE
from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.files.views import ResizedPositions
from tessera.checkpoints.fill import fill
from tessera.checkpoints.load import SMALL, stored_views
from tessera.checkpoints.weights import check_size, find_groups, read_own
from tessera.families.pair_texts import PairTexts
from tessera.families.pairs import PairFamily, PairReading, find_pair
from tessera.models.accounting import count_parts
from tessera.models.config import POSITIONS
from tessera.models.initialise import without_memory
from tessera.models.pair.config import PairConfig
from tessera.models.pair.pair import QllamaPair
from tessera.nn.linear import LinearKind
from tessera.runtime.json_file import read_object
from tessera.runtime.shown import shown

BLOCKS, BLOCK = 64, 2**16
"""Of a weight file that its digest reads: so many blocks, of so many bytes."""


@dataclass(frozen=True, kw_only=True)
class LoadedPair:
    """A pair, ready for use; the model is in evaluation mode."""

    reading: PairReading
    model: QllamaPair
    tokenizer: Tokenizer
    family: PairFamily
    folder: Path
    digest: str
    """Of the weight files, by their sizes and blocks that lie evenly in them."""
    notes: tuple[str, ...] = ()

    @property
    def config(self) -> PairConfig:
        """What the model is made of."""
        return self.reading.config

    @property
    def texts(self) -> PairTexts:
        """How it reads texts."""
        return PairTexts(
            self.tokenizer, self.config.bos_token_id, self.config.eos_token_id, self.reading.rules
        )

    @property
    def summary(self) -> str:
        """Name, parts, parameters, dtype and device in one line."""
        like, count = self.model.query_tokens, count_parts(self.config)["total"]
        size = f"{count / 1e9:.1f} B" if count >= 1e8 else f"{count / 1e6:.2f} M"
        dtype = str(like.dtype).removeprefix("torch.")
        return f"{self.reading.name} · {self.config.label} · {size} parameters · {dtype} on {like.device}"


def pair_in(folder: Path) -> PairFamily | None:
    """The family of the pair that a folder holds, None where it holds something else."""
    path = folder / CONFIG_FILE
    return find_pair(read_object(path)) if path.is_file() else None


def load_pair(
    folder: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    linears: LinearKind = "plain",
    merge_lora: bool = False,
) -> LoadedPair:
    """Open a folder in the layout of internvl_g.

    Tensors are read one by one, cast to `dtype` (None keeps the stored one) and put on the device. `linears`:
    as in `load_checkpoint`. Raises ValueError naming file, key and remedy when anything is missing, too much
    or of another shape, and for a LoRA checkpoint without `merge_lora`.
    """
    root = Path(folder)
    family = pair_in(root)
    if family is None:
        raise ValueError(f"{shown(root)} holds no contrastive pair: its {CONFIG_FILE} names no qllama_config")
    with ShardReader(root) as reader:
        source, notes = stored_views(reader, dtype, merge_lora, family.layout.LORA_RANKS)
        keymap = family.layout.key_table()
        place = keymap.group(POSITIONS).stored[0]
        held = source.shape(place) if place in source.files else None
        reading = family.layout.read_config(root, held)
        if grid := reading.stored_grid:
            source = ResizedPositions(source, place, grid.stored, grid.wanted)
        check_size(reading.config, reader)
        model = empty_pair(reading.config)
        groups = find_groups(dict(model.named_parameters()), keymap, source)
        looked_at = SMALL if linears == "packed" else math.inf
        read = read_own(groups, dict(model.named_parameters()), source, looked_at)
        fill(model, read, device, dtype, linears=linears)
        notes = [*reading.notes, *reader.notes, *notes]
        digest = _digest(root / name for name in sorted(set(reader.files.values())))
    tokenizer = load_tokenizer(root)
    _check_ids(root, tokenizer, reading.config)
    reading = replace(reading, stored_grid=None)
    return LoadedPair(
        reading=reading,
        model=model.eval(),
        tokenizer=tokenizer,
        family=family,
        folder=root,
        digest=digest,
        notes=tuple(notes),
    )


def _digest(files: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        found.update(f"{file.name} {size} ".encode())
        with file.open("rb") as stream:
            for number in range(BLOCKS):
                stream.seek(number * max(0, size - BLOCK) // (BLOCKS - 1))
                found.update(stream.read(BLOCK))
    return found.hexdigest()


def empty_pair(config: PairConfig) -> QllamaPair:
    """The model on the meta device: shapes and names, no memory."""
    with without_memory():
        return QllamaPair(config)


def _check_ids(folder: Path, tokenizer: Tokenizer, config: PairConfig) -> None:
    rows = config.qllama.vocab_size
    highest = max(tokenizer.vocab_size - 1, config.bos_token_id, config.eos_token_id)
    if highest >= rows:
        raise ValueError(
            f"{shown(folder)}: the tokenizer has {tokenizer.vocab_size} tokens, bos is "
            f"{config.bos_token_id} and eos {config.eos_token_id}, but the model's vocab_size is {rows}: "
            "the tokenizer files belong to another checkpoint"
        )
