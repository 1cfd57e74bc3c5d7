"""Proof that a written checkpoint is the one that was read: every weight, the tokenizer, the logits."""

import gc
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.conversion.agreement import TOLERANCE, Agreement, compare, probe
from tessera.checkpoints.description import Description
from tessera.checkpoints.load import load_checkpoint, open_weights
from tessera.checkpoints.weights import is_finite
from tessera.runtime.progress import Progress, silent

Kinds = tuple[set[torch.dtype], set[torch.dtype]]
"""Number formats of the weights that were read and of those that were written."""
SENTENCES = (
    "How many cats are in the picture?",
    "  two spaces\nand a line\t1234567890 3.14",
    "图片里有几只动物？ Größe 🙂 été",
    "<|im_start|>user\n<img></img><ref>x</ref><box>[[1, 2, 3, 4]]</box><|im_end|>",
)
"""Both ends' tokenizers must make the same ids of these."""


class Ledger:
    """What goes by: names and checksums of own tensors, how much it is, in which number formats."""

    def __init__(self, what: str, total: int, progress: Progress = silent) -> None:
        self.sums: dict[str, int] = {}
        self.dtypes: set[torch.dtype] = set()
        self.not_finite: list[str] = []
        self.parameters = self.bytes = 0
        self._what, self._total, self._progress = what, total, progress

    def watch(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
        """The same names and tensors, written down one by one."""
        for name, tensor in tensors:
            self.sums[name] = checksum(tensor)
            self.dtypes.add(tensor.dtype)
            if not is_finite(tensor):
                self.not_finite.append(name)
            self.parameters += tensor.numel()
            self.bytes += tensor.nbytes
            self._progress(self._what, self.parameters, self._total)
            yield name, tensor

    def counted(self, folder: Path) -> dict[str, Any]:
        """How much went by and into how many files, by the fields of `Conversion`."""
        dtype = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in self.dtypes))
        sizes = {"parameters": self.parameters, "bytes": self.bytes}
        shards = len(list(folder.glob("model*.safetensors")))
        return {"tensors": len(self.sums), **sizes, "dtype": dtype, "shards": shards}


def checksum(tensor: torch.Tensor) -> int:
    """CRC-32 of a tensor's bits in row order."""
    flat = tensor.detach().cpu().contiguous().view(-1)
    return zlib.crc32(flat.view(torch.uint8).numpy().data)


def read_back(folder: Path, written: Ledger, progress: Progress = silent) -> Description:
    """Open a folder and compare every weight with what was written; returns the folder's description.

    Raises ValueError naming a weight that differs.
    """
    with open_weights(folder) as opened:
        found = Ledger("reading back", written.parameters, progress)
        for _ in found.watch(opened.tensors(looked_at=0)):
            pass
    names = written.sums.keys() | found.sums.keys()
    if different := [name for name in names if written.sums.get(name) != found.sums.get(name)]:
        raise ValueError(
            f"{folder}: {len(different)} weights, {min(different)!r} among them, do not read back as they "
            "were written; the disk is at fault, or tessera convert is: please report the model"
        )
    return opened.described


def check_tokenizer(first: Tokenizer, second: Tokenizer, source: Path) -> None:
    """ValueError when the two read text differently."""
    ours, theirs = (
        (t.vocab_size, t.bos_id, {a.text: a.id for a in t.added.values()}) for t in (first, second)
    )
    if ours != theirs or any(first.encode(text) != second.encode(text) for text in SENTENCES):
        raise ValueError(
            f"{source}: the tokenizer reads text differently after the conversion; this is a fault of "
            "tessera convert, please report the model"
        )


def computing(kinds: Kinds, device: torch.device | str) -> torch.dtype | None:
    """The format in which logits are compared, None: as stored.

    On a CPU float16 is computed as bfloat16, at both ends, because its products are many times slower there.
    """
    on_cpu = torch.device(device).type == "cpu"
    return torch.bfloat16 if on_cpu and torch.float16 in kinds[0] | kinds[1] else None


def tolerance_for(kinds: Kinds, device: torch.device | str = "cpu", adapted: bool = False) -> float:
    """Share of the largest logit that logits may differ by: 0 without a cast, else by the coarsest format.

    `adapted`: one end computes with an adapter's factors beside its weights, the other with their sum.
    """
    stored, written = kinds
    used = {computing(kinds, device) or kind for kind in stored | written}
    return 0.0 if stored == written and not adapted else max(TOLERANCE[kind] for kind in used)


def compare_folders(
    source: Path,
    target: Path,
    kinds: Kinds,
    merge_lora: bool = False,
    adapter: Path | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    known: int | None = None,
) -> Agreement:
    """Logits of both folders' models on a random prompt, one model after the other.

    An adapter stays beside the source's weights, so that its merging is tried, too. known: ids from here on
    are neither asked with nor compared, because the target may have others there. Raises ValueError when they
    differ by more than `tolerance_for(kinds, device)`.
    """
    dtype = computing(kinds, device)
    answers: list[torch.Tensor] = []
    prompter: Tokenizer | None = None
    for folder, merge, added in ((source, merge_lora, adapter), (target, False, None)):
        loaded = load_checkpoint(folder, device, dtype, merge_lora=merge, adapter=added, apart=True)
        prompter = prompter if known is not None and prompter else loaded.tokenizer
        answers.append(probe(loaded.model, prompter, seed)[:, :known])
        _require_finite(folder, answers[-1], kinds)
        # Two models need not fit into memory at once.
        del loaded
        gc.collect()
    found, tolerance = compare(*answers), tolerance_for(kinds, device, adapter is not None)
    if not found.within(tolerance):
        raise ValueError(
            f"{source}: logits differ by {found.max_abs:.3g} of {found.scale:.3g} after the conversion, "
            f"{tolerance:.0%} is allowed; tessera convert is at fault, please report the model"
        )
    return found


def _require_finite(folder: Path, logits: torch.Tensor, kinds: Kinds) -> None:
    """ValueError for logits that are no numbers: their weights are, or it would have been said before."""
    if not logits.isfinite().all():
        kind = "float16" if torch.float16 in kinds[0] | kinds[1] else "its number format"
        raise ValueError(
            f"{folder}: every weight is finite, the logits are not, so nothing can be compared: numbers grow "
            f"too large for {kind} on the way; try --dtype float32, or --no-check"
        )
