"""Supervised tokens per second and peak memory of a training step: ours against transformers and PEFT.

    python benchmarks/training_step.py [--mixtures captions documents] [--training full lora]
        [--precision float32 bfloat16] [--steps 2] [--threads 1]

The 1B shape: InternViT-300M, Qwen2.5-0.5B, random weights, the same in all variants; one tile a picture.
`full` trains everything, `lora` factors of rank 16 beside the decoder's linears, all else frozen. A step is
forward and backward over the same samples; the optimizer is not part of it. In bfloat16 all weights are.

- ours: samples laid end to end in packs, one pack after another, `train.step.Step.gradients`;
- cached: the same where a frozen ViT's states come from the disk, as `Stage.cache_features` has it from the
  second epoch on; nobody else's step has that, so it is a row and not the claim;
- selective, recomputed: ours with `Stage.recompute` "selective" or "blocks", all samples in one pack; blocks
  keeps as little as `checkpointed` does;
- padded: transformers' InternVL, one batch padded on the right, its own loss on the same targets;
- checkpointed: the same with gradient checkpointing, as InternVL's scripts run it. Full training and
  documents fit into 24 GiB only so, beside the other variants: there `padded` is left out, and full training
  takes two runs, `--variants ours checkpointed` and `--variants selective recomputed checkpointed`.

Each variant has a process of its own and nothing else in it. They take steps in turn, or with `--apart` one
variant behind the other where all together don't fit, behind one small step that warms up; processor time.
Losses and gradient norms of every step are compared: in float32 they must agree to 1e-4 and 1e-3 or the run
stops. The last line is one JSON object.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = os.environ.get("BENCHMARK_THREADS", "1")  # read when numpy and torch load

import argparse
import atexit
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn
from training_sides import Ours, Side, Theirs, shape_of
from training_workload import MIXTURES, draw

from tessera.nn.recompute import Recompute
from tessera.packing.pack import Sample
from tessera.runtime.device import bound_product_caches

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MOST_APART = {"float32": (1e-4, 1e-3), "bfloat16": (2e-2, 1e-1)}
"""Relative differences of losses and gradient norms that are rounding."""
SHRINK = {"1b": 1, "toy": 16}
WARM_UP = -1
RECOMPUTES: dict[str, Recompute] = {"ours": "none", "selective": "selective", "recomputed": "blocks"}
PEERS = ("padded", "checkpointed")


def variants(mixture: str, training: str) -> tuple[str, ...]:
    """Those that fit into 24 GiB."""
    if (mixture, training) == ("captions", "lora"):
        return ("ours", "cached", "padded", "checkpointed")
    return (*RECOMPUTES, "checkpointed")


def make_side(arguments: argparse.Namespace, training: str, precision: str, mixture: str) -> Side:
    """What a worker runs."""
    dtype = DTYPES[precision]
    work = MIXTURES[mixture].cut(arguments.shorter)
    if arguments.worker in RECOMPUTES:
        recompute = RECOMPUTES[arguments.worker]
        return Ours(arguments.shape, training, dtype, work, recompute=recompute)
    if arguments.worker == "cached":
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder)
        return Ours(arguments.shape, training, dtype, work, folder)
    return Theirs(arguments.shape, training, dtype, checkpoint=arguments.worker == "checkpointed")


def drawn(arguments: argparse.Namespace, mixture: str) -> list[list[Sample]]:
    """The samples of all steps; at the end the shortest one alone, to warm up with."""
    shape = shape_of(arguments.shape)
    steps = draw(MIXTURES[mixture].cut(arguments.shorter), shape, arguments.steps, SHRINK[arguments.shape])
    return [*steps, [min((s for step in steps for s in step), key=lambda s: len(s.ids))]]


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak since the last reset) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {field}: the memory rows need Linux")


def serve(arguments: argparse.Namespace) -> None:
    """A worker: a step per line of input, answered by seconds, loss and gradient norm; then its memory."""
    case = arguments.training[0], arguments.precision[0], arguments.mixtures[0]
    answer_steps(make_side(arguments, *case), drawn(arguments, case[2]))


def answer_steps(side: Any, steps: Sequence[Any]) -> None:
    """What a worker does with a side that is made."""
    bound_product_caches()
    before = resident_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # peak := now
    for line in sys.stdin:
        batches = side.prepare(steps[int(line)])
        start = time.process_time()
        loss = side.gradients(batches)
        seconds = time.process_time() - start
        norm = nn.utils.get_total_norm([p.grad for p in side.model.parameters() if p.grad is not None])
        side.model.zero_grad()
        print(json.dumps([seconds, loss, float(norm)]), flush=True)
    print(json.dumps([before, resident_mib("VmHWM")]), flush=True)


class Worker:
    """A variant in its own process."""

    def __init__(self, variant: str, case: tuple[str, str, str], arguments: argparse.Namespace) -> None:
        self.variant = variant
        names = zip(("--mixtures", "--training", "--precision"), case, strict=True)
        options = [part for pair in names for part in pair]
        fixed = ["--worker", variant, "--shape", arguments.shape, "--steps", str(arguments.steps)]
        fixed += ["--shorter", str(arguments.shorter)]
        threads = {"BENCHMARK_THREADS": str(arguments.threads)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, *fixed, *options, "--threads", str(arguments.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        )
        self.seconds: list[float] = []

    def step(self, index: int) -> tuple[float, float]:
        """Loss and gradient norm; the time is kept."""
        assert self.process.stdin and self.process.stdout
        with suppress(BrokenPipeError):  # it died: there is no answer below
            self.process.stdin.write(f"{index}\n")
            self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise SystemExit(f"{self.variant} died in step {index}: most likely of too little memory")
        seconds, loss, norm = json.loads(answer)
        if index != WARM_UP:
            self.seconds.append(seconds)
        return loss, norm

    def finish(self, supervised: int) -> dict[str, float]:
        """The variant's row."""
        before, peak = json.loads(self.process.communicate()[0])
        return {
            "supervised_tokens_per_second": round(supervised / sum(self.seconds), 3),
            "seconds_per_step": round(sum(self.seconds) / len(self.seconds), 2),
            "peak_mib": round(peak),
            "of_it_step_mib": round(peak - before),
        }


def measure(case: tuple[str, str, str], arguments: argparse.Namespace) -> dict[str, object]:
    """Rows of a mixture, kind of training and precision."""
    mixture, training, precision = case
    steps = drawn(arguments, mixture)[:WARM_UP]
    names = [name for name in variants(mixture, training) if name in arguments.variants]
    supervised = int(sum(sample.weights.sum() for step in steps for sample in step))
    indexes = (WARM_UP, *range(len(steps)))
    rows, found = {}, {}
    for together in [[name] for name in names] if arguments.apart else [names]:
        workers = {name: Worker(name, case, arguments) for name in together}
        for index in indexes:
            found |= {(index, name): worker.step(index) for name, worker in workers.items()}
        rows |= {name: worker.finish(supervised) for name, worker in workers.items()}
    apart = [0.0, 0.0]
    for (index, _), figures in found.items():
        for place, (first, other) in enumerate(zip(found[index, names[0]], figures, strict=True)):
            apart[place] = max(apart[place], abs(first - other) / abs(other))
    if any(found > most for found, most in zip(apart, MOST_APART[precision], strict=True)):
        raise SystemExit(f"{case}: losses and norms differ by {apart}: the variants don't compute the same")
    lengths = [[len(sample.ids) for sample in step] for step in steps]
    return {
        "samples": sum(map(len, steps)),
        "tokens": sum(map(sum, lengths)),
        "padding": round(1 - sum(map(sum, lengths)) / sum(len(step) * max(step) for step in lengths), 3),
        "supervised_tokens": supervised,
        "differences": {"loss": apart[0], "gradient_norm": apart[1]},
        "rows": rows,
        "over": {f"{us} over {them}": over(rows[us], rows[them]) for us, them in product(*split(names))},
    }


def split(names: list[str]) -> tuple[list[str], list[str]]:
    """Ours, and the peers."""
    return [name for name in names if name not in PEERS], [name for name in names if name in PEERS]


def over(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Ratios: above 1 is faster, and for memory below 1 is smaller."""
    fields = "supervised_tokens_per_second", "peak_mib"
    return {field: round(ours[field] / theirs[field], 3) for field in fields}


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--mixtures", nargs="+", choices=MIXTURES, default=list(MIXTURES))
    parser.add_argument("--training", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--precision", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--steps", type=int, default=2, help="timed steps of a case")
    parser.add_argument("--shape", choices=tuple(SHRINK), default="1b")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shorter", type=int, default=1, help="texts and packs are so many times as short")
    parser.add_argument("--apart", action="store_true", help="one variant after the other: less memory")
    every = (*RECOMPUTES, "cached", *PEERS)
    parser.add_argument("--variants", nargs="+", choices=every, default=every)
    parser.add_argument("--worker", choices=every, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        serve(arguments)
        return 0
    cases = {}
    for case in product(arguments.mixtures, arguments.training, arguments.precision):
        cases[" ".join(case)] = measure(case, arguments)
        print(" ".join(case), json.dumps(cases[" ".join(case)], indent=1), flush=True)
    settings = {"shape": arguments.shape, "threads": arguments.threads, "python": platform.python_version()}
    versions = {name: version(name) for name in ("torch", "transformers", "peft")}
    print(json.dumps({"benchmark": "training_step", **settings, "versions": versions, "cases": cases}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
