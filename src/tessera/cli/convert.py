"""`tessera convert SRC DST …`: a checkpoint in another layout, merged, cast or with new tokens."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.conversion.convert import Conversion, convert
from tessera.cli.command import ReportingCommand
from tessera.runtime.device import choose_device
from tessera.runtime.progress import progress_bars


@dataclass(frozen=True, kw_only=True)
class ConvertCommand(ReportingCommand):
    """Write a checkpoint in another layout, or with new special tokens; check it before saying done."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SRC")]
    """Folder of the checkpoint, or a model's name."""
    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
    """Folder to write; it must not be there yet, or be empty."""
    layout: Literal["official", "transformers", "tessera"] | None = None
    """official: OpenGVLab's own code and most engines; transformers: InternVLForConditionalGeneration;
    tessera: this package's, which keeps every setting. The source's own by default."""
    merge_lora: bool = False
    """Merge the LoRA matrices of the checkpoint into its weights."""
    adapter: Path | None = None
    """Folder of a LoRA adapter, as PEFT saves it, to merge into the model."""
    remote_code: Path | None = None
    """Folder of a released model whose Python files and auto_map go into the official layout."""
    add_tokens: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """New special tokens, such as '<loc>': each gets a row in embedding and head."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Cast the weights; without it every weight keeps its bits."""
    no_check: bool = False
    """Leave out the logit check, which needs memory for one model; weights are read back all the same."""
    device: str = "cpu"
    """Where the logit check runs: cpu, cuda, auto."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.target: True}

    def run(self) -> int:
        source, adapter = find_with_adapter(self.source, self.adapter)
        if not (self.layout or self.add_tokens or self.merge_lora or self.dtype or adapter):
            raise ValueError(
                "nothing is to change: give --layout, --add-tokens, --merge-lora, --adapter or --dtype"
            )
        with progress_bars() as bars:
            done = convert(
                source,
                self.target,
                self.layout,
                merge_lora=self.merge_lora,
                adapter=adapter,
                remote_code=self.remote_code,
                add_tokens=self.add_tokens,
                dtype=getattr(torch, self.dtype) if self.dtype else None,
                check=not self.no_check,
                device=choose_device(self.device),
                progress=bars,
            )
        exact = done.agreement.exact if done.agreement else None
        self.tell(lambda: asdict(done) | {"exact": exact}, lambda: print("\n".join(lines_of(done))))
        return 0


def lines_of(done: Conversion) -> list[str]:
    """What was read, written and checked, in words."""
    merged = ", LoRA merged" if done.merged else ""
    size = f"{short(done.parameters, 'kMB')} parameters, {short(done.bytes, 'kMG')}B"
    lines = [
        f"{done.name}: {done.source_layout} layout -> {done.layout} layout{merged}",
        f"written    {done.target}: {size}, {done.shards} file{'s' if done.shards > 1 else ''}, {done.dtype}",
        f"weights    {done.tensors} read back, all equal",
        f"logits     {in_words(done)}",
        f"opened by  {done.opened_by}",
    ]
    return [*lines, *(f"note       {note}" for note in done.notes)]


def short(count: int, units: str) -> str:
    """A count with three digits and the letter of its thousands, millions or milliards."""
    power = min(max((len(str(count)) - 1) // 3, 1), len(units))
    return f"{count / 1000**power:.3g} {units[power - 1]}"


def in_words(done: Conversion) -> str:
    """The outcome of the logit check."""
    found = done.agreement
    if found is None:
        return "not checked (--no-check)"
    if found.exact:
        return f"equal to the bit on a random prompt ({found.tokens} tokens behind a random tile)"
    change = "merging" if done.merged else "a cast"
    return (
        f"differ by at most {found.max_abs:.3g} of {found.scale:.3g} on a random prompt "
        f"({100 * done.tolerance:.2g}% is allowed after {change}); {found.same_greedy:.0%} of {found.tokens} "
        "greedy choices are the same"
    )
