"""Any checkpoint to one in Tessera's layout whose blocks keep few bits a weight, tensor by tensor.

The most that lies in memory is one shard. Everything goes into a folder beside the target, which takes its
name when every tensor has been read back from the new files.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from tessera.checkpoints.conversion.convert import building, check_room, copy_files
from tessera.checkpoints.conversion.proof import Ledger
from tessera.checkpoints.files.shards import MAX_SHARD_BYTES, ShardReader
from tessera.checkpoints.fill import replaceable
from tessera.checkpoints.links.weights import link_tensors
from tessera.checkpoints.load import OpenedWeights, open_weights
from tessera.checkpoints.quantised.form import FEW_BITS, SCALE, WEIGHT, CodedView, FewBits, QuantisedForm
from tessera.checkpoints.save import require_new, write_checkpoint
from tessera.nn.codes import Codes, quantise, quantise_4bit
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown

DTYPE = torch.bfloat16
"""What scales, and weights that are not in few bits, are written in."""
MAKERS: Mapping[FewBits, Callable[..., Codes]] = {"int8": quantise, "int4": quantise_4bit}


@dataclass(frozen=True)
class QuantisedCheckpoint:
    """What was written: linears in few bits, those of blocks that were kept, bytes of both sides' files."""

    name: str
    source: Path
    target: Path
    kind: FewBits
    linears: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_before: int
    bytes_after: int
    seconds: float
    notes: tuple[str, ...]


def quantise_checkpoint(
    source: str | Path,
    target: str | Path,
    kind: FewBits,
    keep: Sequence[str] = (),
    *,
    adapter: Path | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = silent,
) -> QuantisedCheckpoint:
    """Write the checkpoint in `source` into the new or empty folder `target` with linears in few bits.

    kind: int8 (a scale a row) or int4 (NF4, a scale for 64 weights of a row). keep: regular expressions; a
    linear of a block in whose own name one is found stays in bfloat16, as everything does that is no linear
    of a block. `adapter`: a folder with a LoRA adapter to merge first. README and licence files travel along.
    Raises ValueError, and leaves no target, when something is wrong with source, target or patterns, or a
    tensor does not read back.
    """
    started = time.monotonic()
    root, goal = Path(source), Path(target)
    if kind not in FEW_BITS:
        raise ValueError(f"kind = {shown(kind)}: choose {' or '.join(FEW_BITS)}")
    require_new(goal)
    with building(goal) as folder, open_weights(root, None, adapter=adapter) as opened:
        if isinstance(opened.stored, CodedView):
            raise ValueError(
                f"{shown(root)} is stored in {opened.stored.told} already: give the checkpoint that it was "
                "made from"
            )
        chosen, kept = choose_linears(opened.model, kind, keep)
        check_room(folder, DTYPE.itemsize * sum(p.numel() for p in opened.model.parameters()), None)
        form = QuantisedForm(kind=kind, keep=tuple(keep))
        ledger = _write(opened, folder, form, chosen, max_shard_bytes, progress)
        copy_files(root, folder, keep_written=False, new_tokens=False)
        read_back(folder, ledger, progress)
    said = opened.described
    return QuantisedCheckpoint(
        name=said.family.name,
        source=root,
        target=goal,
        kind=kind,
        linears=tuple(chosen),
        kept=tuple(kept),
        bytes_before=ShardReader(root).size_on_disk(),
        bytes_after=ShardReader(goal).size_on_disk(),
        seconds=time.monotonic() - started,
        notes=(*said.notes, *opened.as_floats),
    )


def choose_linears(model: nn.Module, kind: FewBits, keep: Sequence[str]) -> tuple[list[str], list[str]]:
    """Own names of the blocks' linears that go into few bits, and of those that a pattern keeps.

    Raises ValueError for a pattern that is none or fits nothing, and where nothing is left.
    """
    linears = replaceable(model, kind)
    kept: set[str] = set()
    for pattern in keep:
        try:
            found = [name for name in linears if re.search(pattern, name)]
        except re.error as error:
            raise ValueError(f"keep = {shown(pattern)} is no regular expression: {error}") from error
        if not found:
            raise ValueError(
                f"keep = {shown(pattern)} fits no linear layer of a block; their names are such as "
                f"{next(iter(linears))} and {list(linears)[-1]}"
            )
        kept.update(found)
    chosen = [name for name in linears if name not in kept]
    if not chosen:
        raise ValueError(f"keep = {shown(list(keep))}: nothing is left to quantise; leave a pattern out")
    if odd := [name for name in chosen if kind == "int4" and linears[name].in_features % 2]:
        raise ValueError(
            f"int4: a row of {odd[0]} has {linears[odd[0]].in_features} weights, which can't be kept in "
            "pairs; keep it as it is (keep, --keep), or take int8"
        )
    return chosen, [name for name in linears if name in kept]


def read_back(folder: Path, written: Ledger, progress: Progress = silent) -> None:
    """Compare every tensor in a folder's files with what was written. ValueError naming one that differs."""
    found = Ledger("reading back", written.parameters, progress)
    with ShardReader(folder) as reader:
        for _ in found.watch((key, reader.tensor(key)) for key in reader.files):
            pass
    if found.sums != written.sums:
        different = found.sums.items() ^ written.sums.items()
        raise ValueError(
            f"{shown(folder)}: {min(different)[0]!r} does not read back as it was written; the disk is at "
            "fault, or tessera quantize is: please report the model"
        )


def _write(
    opened: OpenedWeights,
    folder: Path,
    form: QuantisedForm,
    chosen: Sequence[str],
    max_shard_bytes: int,
    progress: Progress,
) -> Ledger:
    said = opened.described
    parameters = sum(parameter.numel() for parameter in opened.model.parameters())
    ledger = Ledger("quantising", parameters, progress)
    tensors = ledger.watch(_coded(opened, form.kind, {f"{name}{WEIGHT}" for name in chosen}))
    every = chain(tensors, link_tensors(opened.source.folder, said.family))
    written = form.model_dump(mode="json")
    write_checkpoint(
        folder, every, said.family, said.tokenizer, "tessera", said.card, max_shard_bytes, written
    )
    return ledger


def _coded(opened: OpenedWeights, kind: FewBits, chosen: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and tensors as they are stored."""
    for name, tensor in opened.tensors():
        if name not in chosen:
            yield name, tensor.to(DTYPE)
            continue
        codes = MAKERS[kind](tensor, DTYPE)
        yield name, codes.weight
        yield name.removesuffix(WEIGHT) + SCALE, codes.scale
