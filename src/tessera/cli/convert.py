"""`tessera convert SRC DST --layout …`: a checkpoint in another layout, merged or cast on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tessera.checkpoints.conversion.convert import Conversion, convert
from tessera.checkpoints.hub import find_checkpoint
from tessera.runtime.device import choose_device

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QUIET_SECONDS = 2.0
"""Conversions that are over sooner show no progress bar."""


@dataclass(frozen=True)
class Arguments:
    """Write a checkpoint in another layout, and check that it says the same before saying done."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SRC")]
    """Folder of the checkpoint, or a model's name."""
    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
    """Folder to write; it must not be there yet, or be empty."""
    layout: Literal["official", "transformers", "tessera"]
    """official: OpenGVLab's own code and most engines; transformers: InternVLForConditionalGeneration;
    tessera: this package's, which keeps every setting."""
    merge_lora: bool = False
    """Merge the LoRA matrices of the checkpoint into its weights."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Cast the weights; without it every weight keeps its bits."""
    no_check: bool = False
    """Leave out the logit check, which needs memory for one model; weights are read back all the same."""
    device: str = "cpu"
    """Where the logit check runs: cpu, cuda, auto."""
    json: bool = False
    """Print one JSON object instead of lines."""


def main(argv: list[str]) -> int:
    """Convert, check, say what was done."""
    given = tyro.cli(Arguments, args=argv, prog="tessera convert", config=(tyro.conf.FlagCreatePairsOff,))
    folder = find_checkpoint(given.source)
    with progress_bar() as show:
        done = convert(
            folder,
            given.target,
            given.layout,
            merge_lora=given.merge_lora,
            dtype=DTYPES[given.dtype] if given.dtype else None,
            check=not given.no_check,
            device=choose_device(given.device),
            progress=show,
        )
    if given.json:
        print(json.dumps(as_json(done), ensure_ascii=False))
    else:
        print("\n".join(lines_of(done)))
    return 0


class Bar:
    """Telemetry of a conversion as a bar on stderr, drawn once it has taken a few seconds."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        console = Console(stderr=True)
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._start = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Bytes done of one step."""
        if time.monotonic() - self._start < QUIET_SECONDS:
            return
        self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done)

    def stop(self) -> None:
        """Take the bar from the screen."""
        if self._tasks:
            self._bar.stop()


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A bar that is gone afterwards, whatever happens."""
    bar = Bar()
    try:
        yield bar
    finally:
        bar.stop()


def as_json(done: Conversion) -> dict[str, object]:
    """A conversion as plain values."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(done).items()}
    return plain | {"exact": done.agreement.exact if done.agreement else None}


def lines_of(done: Conversion) -> list[str]:
    """What was read, written and checked, in words."""
    merged = ", LoRA merged" if done.merged else ""
    size = f"{short(done.parameters, 'kMB')} parameters, {short(done.bytes, 'kMG')}B"
    lines = [
        f"{done.name}: {done.source_layout} layout -> {done.layout} layout{merged}",
        f"written    {done.target}: {size}, {done.shards} file{'s' if done.shards > 1 else ''}, {done.dtype}",
        f"weights    {done.tensors} read back, all equal",
        f"logits     {in_words(done)}",
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
    return (
        f"differ by at most {found.max_abs:.3g} of {found.scale:.3g} on a random prompt "
        f"({done.tolerance:.0%} is allowed after a cast); {found.same_greedy:.0%} of {found.tokens} greedy "
        "choices are the same"
    )
