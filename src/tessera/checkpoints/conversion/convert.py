"""From one layout to another, tensor by tensor, with proof that nothing was lost.

A conversion never holds a model: each tensor is read, perhaps merged or cast, cut or joined, and written; the
most that lies in memory is one shard. Everything goes into a folder beside the target, which takes its name
only when every weight has been read back from the new files and both ends give the same logits.
"""

import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from tessera.checkpoints.added import EMBEDDING, HEAD
from tessera.checkpoints.conversion.agreement import Agreement
from tessera.checkpoints.conversion.proof import (
    Ledger,
    check_tokenizer,
    compare_folders,
    read_back,
    tolerance_for,
)
from tessera.checkpoints.conversion.remote_code import (
    WITH_CODE,
    add_remote_code,
    find_remote_code,
    openers,
)
from tessera.checkpoints.description import LayoutName, layout_name
from tessera.checkpoints.files.lora import is_lora
from tessera.checkpoints.files.shards import MAX_SHARD_BYTES, ShardReader
from tessera.checkpoints.links.weights import link_tensors
from tessera.checkpoints.load import OpenedWeights, open_weights
from tessera.checkpoints.placement import free_bytes
from tessera.checkpoints.save import TOKENIZER_FILES, require_new, write_checkpoint
from tessera.families.family import Family
from tessera.runtime.progress import Progress, silent

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LISTING_TOKENS = {"tokenizer.json", "added_tokens.json"}
"""Tokenizer files with ids of special tokens; tokenizer_config.json, always written, has them, too."""
CARRIED = ("README*", "LICENSE*", "LICENCE*", "NOTICE*")
"""What travels along beside weights, config and tokenizer."""


@dataclass(frozen=True)
class Conversion:
    """What was written and what was found.

    `tensors`, `parameters` and `bytes` count own parameters as written. `agreement` is None when the logits
    were not compared; `tolerance`: share of the largest logit that they may differ by, 0 without a cast or an
    adapter.
    """

    name: str
    source: Path
    target: Path
    source_layout: LayoutName
    layout: LayoutName
    tensors: int
    parameters: int
    bytes: int
    shards: int
    dtype: str
    merged: bool
    opened_by: str
    agreement: Agreement | None
    tolerance: float
    seconds: float
    notes: tuple[str, ...]


def convert(
    source: str | Path,
    target: str | Path,
    layout: LayoutName | None = None,
    *,
    merge_lora: bool = False,
    adapter: Path | None = None,
    add_tokens: Sequence[str] = (),
    dtype: torch.dtype | None = None,
    check: bool = True,
    remote_code: Path | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = silent,
) -> Conversion:
    """Write the checkpoint in `source` into the new or empty folder `target`, None keeping its layout.

    `adapter`: a folder with a LoRA adapter to merge. `add_tokens`: new special tokens, which get rows in
    embedding and head (`checkpoints.added`). `dtype` casts the weights, None keeps every bit. `check`
    compares logits of both ends on a random prompt, one model after the other on `device`; weights are read
    back from the new files in any case. README and licence files travel along; `remote_code`: so do the
    Python files and the `auto_map` of this folder, into the official layout. Raises ValueError, and leaves no
    target, when something is wrong with the source, the layout cannot express the model, or the proof fails.
    """
    started = time.monotonic()
    root, goal = Path(source), Path(target)
    _check_request(root, goal, layout, dtype, remote_code)
    merged = merge_lora and is_lora(ShardReader(root).files)
    with building(goal) as folder:
        with open_weights(root, dtype, merge_lora, adapter) as found:
            opened = found.with_tokens(add_tokens)
            said, layout = opened.described, layout or found.described.layout
            check_room(folder, _size_on_disk(opened, dtype), device if check else None)
            ledger = Ledger("writing", _parameters(opened), progress)
            stored = _write(opened, folder, layout, dtype, ledger, max_shard_bytes)
        copy_files(root, folder, layout == "transformers", bool(add_tokens))
        add_remote_code(remote_code, folder, layout)
        written = read_back(folder, ledger, progress)
        check_tokenizer(said.tokenizer, written.tokenizer, root)
        kinds, agreement = (stored, ledger.dtypes), None
        unmerged = [f"{root}: there are no LoRA matrices to merge"] if merge_lora and not merged else []
        oddities = (*opened.as_floats, *unmerged, *_spoilt(root, ledger.not_finite, check))
        if check:
            known = found.described.tokenizer.vocab_size if add_tokens else None
            agreement = compare_folders(root, folder, kinds, merge_lora, adapter, device, seed, known)
    return Conversion(
        name=said.family.name,
        source=root,
        target=goal,
        source_layout=said.layout,
        layout=layout,
        **ledger.counted(goal),
        merged=merged or adapter is not None,
        opened_by=WITH_CODE if remote_code is not None else openers(said.family, layout),
        agreement=agreement,
        tolerance=tolerance_for(kinds, device, adapter is not None),
        seconds=time.monotonic() - started,
        notes=(*said.notes, *oddities, *_not_kept(said.family, written.family, layout)),
    )


def _check_request(
    source: Path, target: Path, layout: LayoutName | None, dtype: torch.dtype | None, remote_code: Path | None
) -> None:
    """What can be wrong before anything is read."""
    if remote_code is not None:
        find_remote_code(remote_code)
    if layout is not None:
        layout_name(layout)
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype = {dtype}: weights are stored in float32, bfloat16 or float16")
    if not source.is_dir():
        raise ValueError(f"{source}: no such folder; give the folder of a checkpoint")
    require_new(target)
    if file := next((parent for parent in target.absolute().parents if parent.is_file()), None):
        raise ValueError(f"{file} is a file, so no folder can be made below it: name another target")


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A folder beside the target that becomes it at the end, or is gone.

    In an empty target it lies inside: a mounted disk, a link or the folder one stands in cannot be replaced.
    """
    inside = target.is_dir()
    place = target.absolute() if inside else target.absolute().parent
    folder = place / f".{target.name}.{secrets.token_hex(4)}.unfinished"
    made = [parent for parent in folder.parents if not parent.exists()]
    folder.mkdir(parents=True)
    try:
        yield folder
        # A mounted disk or a link keeps its place; its content is moved in.
        if inside:
            for path in folder.iterdir():
                path.rename(target / path.name)
        else:
            folder.rename(target)
    finally:
        if folder.exists():
            shutil.rmtree(folder)
            with suppress(OSError):  # somebody else may have put something there by now
                for parent in made:
                    parent.rmdir()


def _size_on_disk(opened: OpenedWeights, dtype: torch.dtype | None) -> int:
    """Bytes that will be written; those of the files that are read where nothing is cast."""
    if dtype is not None:
        return dtype.itemsize * _parameters(opened)
    return sum((opened.source.folder / name).stat().st_size for name in set(opened.source.files.values()))


def _parameters(opened: OpenedWeights) -> int:
    return sum(parameter.numel() for parameter in opened.model.parameters())


def check_room(disk: Path, size: int, device: torch.device | str | None) -> None:
    """Disk for the files and, when logits are compared, memory for one model: better known now than late."""
    if (free := shutil.disk_usage(disk).free) < size:
        raise ValueError(f"{disk}: the files take {_gb(size)} but {_gb(free)} are free: make room")
    if device is not None and (free := free_bytes(str(device))) < size:
        raise ValueError(
            f"device = {device}: comparing logits takes {_gb(size)} of memory but {_gb(free)} are free; "
            "leave the comparison out (check=False, --no-check), weights are read back all the same"
        )


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _write(
    opened: OpenedWeights,
    folder: Path,
    layout: LayoutName,
    dtype: torch.dtype | None,
    ledger: Ledger,
    max_shard_bytes: int,
) -> set[torch.dtype]:
    """All files of the layout; returns the number formats that were met."""
    stored, said = set[torch.dtype](), opened.described
    tensors = ledger.watch(_own_tensors(opened, dtype, stored, head_apart=layout != "tessera"))
    card = said.card or None
    every = chain(tensors, link_tensors(opened.source.folder, said.family))
    write_checkpoint(folder, every, said.family, said.tokenizer, layout, card, max_shard_bytes)
    return stored


def _own_tensors(
    opened: OpenedWeights, dtype: torch.dtype | None, stored: set[torch.dtype], head_apart: bool
) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and tensors, cast; `stored` takes the number formats that were met.

    `head_apart`: a tied head comes a second time, for layouts that always store it.
    """
    tied = opened.described.family.model.decoder.tie_word_embeddings
    for name, tensor in opened.tensors(looked_at=0):
        stored.add(tensor.dtype)
        given = tensor if dtype is None else _cast(name, tensor, dtype)
        yield name, given
        if name == EMBEDDING and tied and head_apart:
            yield HEAD, given


def _cast(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The tensor in another number format; ValueError when numbers do not fit into it."""
    given = tensor.to(dtype)
    # What was infinite before is the source's own.
    if not given.isfinite().all() and tensor.isfinite().all():
        largest = float(tensor.abs().max())
        raise ValueError(
            f"dtype = {dtype}: {name!r} holds {largest:.3g}, too much for it: take bfloat16 or float32"
        )
    return given


def copy_files(source: Path, target: Path, keep_written: bool, new_tokens: bool) -> None:
    """Tokenizer files as they are, and what says whose work this is.

    keep_written: files just written stay, because transformers asks for more in the tokenizer's config than
    the originals say. new_tokens: the same, and originals that list tokens would contradict them.
    """
    names = {*TOKENIZER_FILES, "vocab.json", "merges.txt", "tokenizer_config.json"}
    for name in sorted(names - LISTING_TOKENS if new_tokens else names):
        if (source / name).is_file() and not ((keep_written or new_tokens) and (target / name).exists()):
            shutil.copyfile(source / name, target / name)
    for path in sorted(path for pattern in CARRIED for path in source.glob(pattern) if path.is_file()):
        shutil.copyfile(path, target / path.name)


def _spoilt(source: Path, names: list[str], check: bool) -> list[str]:
    """A note on weights that are not finite; ValueError when logits are to be compared."""
    if not names:
        return []
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    told = f"{source}: {names[0]!r}{more} holds numbers that are not finite"
    if check:
        raise ValueError(
            f"{told}: fetch the weights again, or save the model from a step before its training diverged; "
            "check=False, --no-check writes them as they are"
        )
    return [told]


def _not_kept(before: Family, after: Family, layout: LayoutName) -> Iterator[str]:
    """One sentence for each setting that the new folder no longer says."""
    first, second = (_flat(family.model_dump(mode="json")) for family in (before, after))
    for name, value in first.items():
        if second.get(name) != value:
            yield f"{name} = {value!r} reads {second.get(name)!r} in the {layout} layout"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
