"""Supervised tokens per second and memory of a training step: ours, packed, against transformers, padded.

    python benchmarks/training_step.py [--samples 96] [--batch 24] [--repeats 5] [--precision bfloat16]

One run, the same weights, the same drawn conversations, the same samples in every step. Variants:

- ours: the samples of a batch laid end to end, `train.step.Step.gradients`, loss on supervised tokens;
- padded: transformers' InternVL, the batch padded on the right, its own loss, labels -100 elsewhere;
- padded, all tokens: the same with a loss on every token that is no padding.

In bfloat16 rows ours has bfloat16 weights with float32 masters, theirs float32 weights and autocast. Each
variant lives in a process of its own that holds both models, so that peak memory differs by the step alone.
The variants take their steps in turn: one thread, processor time, medians over the repeats. Pixel
normalisation is part of our step and done beforehand for transformers. First the float32 losses of all
batches are compared; they must agree to 1e-4. The last line is one JSON object.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when numpy and torch load, so before their import

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from torch import nn
from training_workload import Workload, workload

from tessera.train.objective.conversation import ConversationObjective
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import Rule, assign

CPU = torch.device("cpu")
VARIANTS = ("ours", "padded", "padded, all tokens")


def our_gradients(work: Workload, index: int) -> float:
    """Forward and backward of a pack; returns the loss."""
    return float(Step(ConversationObjective(), work.ours, CPU).gradients([work.packs[index]])[0])


def their_gradients(work: Workload, index: int, precision: str, every: bool) -> float:
    """Forward and backward of a padded batch by their own loss."""
    batch = work.padded[index]
    labels = batch.every_label if every else batch.labels
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        out = work.theirs(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            pixel_values=batch.pixels,
            labels=labels,
            use_cache=False,
        )
    out.loss.backward()
    return out.loss.item()


def check_losses(work: Workload) -> float:
    """Largest difference of the float32 losses; stops when it passes 1e-4."""
    worst = 0.0
    for index in range(len(work.packs)):
        pair = our_gradients(work, index), their_gradients(work, index, "float32", every=False)
        worst = max(worst, abs(pair[0] - pair[1]))
    if worst > 1e-4:
        raise SystemExit(f"losses differ by {worst}: the variants don't compute the same thing")
    return worst


def updater(work: Workload, variant: str, precision: str) -> Callable[[], object]:
    """Clipping, AdamW and clearing of gradients: through our Optimizer, and as a plain loop does it."""
    if variant == "ours":
        masters = Masters("bfloat16" if precision == "bfloat16" else "float32")
        masters.hold(work.ours)
        trained = assign(work.ours, (Rule(pattern=".", learning_rate=1e-4),))
        optimizer = Optimizer(trained, OptimizerConfig(), masters)
        return lambda: optimizer.step(1.0, torch.zeros(()))
    parameters = list(work.theirs.parameters())
    adamw = torch.optim.AdamW(parameters, lr=1e-4)

    def update() -> None:
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    return update


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak since the last reset) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {field}: the memory rows need Linux")


def serve(arguments: argparse.Namespace) -> None:
    """A worker: one step per line of input, answered by its processor times; at the end, its memory."""
    work = workload(arguments.samples, arguments.batch)
    update = updater(work, arguments.worker, arguments.precision[0])
    before = resident_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # peak := now
    for line in sys.stdin:
        start = time.process_time()
        if arguments.worker == "ours":
            our_gradients(work, int(line))
        else:
            their_gradients(work, int(line), arguments.precision[0], every=arguments.worker != "padded")
        middle = time.process_time()
        update()
        print(json.dumps([middle - start, time.process_time() - start]), flush=True)
    print(json.dumps([before, resident_mib("VmHWM")]), flush=True)


class Worker:
    """A variant in its own process."""

    def __init__(self, variant: str, precision: str, arguments: argparse.Namespace) -> None:
        sizes = ["--samples", str(arguments.samples), "--batch", str(arguments.batch)]
        command = [sys.executable, __file__, "--worker", variant, "--precision", precision, *sizes]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.times: list[list[list[float]]] = []

    def step(self, index: int) -> list[float]:
        """Seconds of a step on a batch: gradients, and with the update."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{index}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def finish(self) -> list[float]:
        """MiB before the first step and at the peak."""
        return json.loads(self.process.communicate()[0])


Rows = dict[str, dict[str, float]]


def measure(precision: str, batches: int, trained: int, arguments: argparse.Namespace) -> Rows:
    """Rows of a precision: medians of passes over all batches, the variants step by step in turn."""
    workers = {variant: Worker(variant, precision, arguments) for variant in VARIANTS}
    passes: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
    for repeat in range(arguments.repeats + 1):
        sums = {variant: [0.0, 0.0] for variant in VARIANTS}
        for index in range(batches):
            for variant, worker in workers.items():
                sums[variant] = [a + b for a, b in zip(sums[variant], worker.step(index), strict=True)]
        if repeat:  # the first pass warms up
            for variant, seconds in sums.items():
                passes[variant].append(seconds)
    return {variant: row(passes[variant], worker.finish(), trained) for variant, worker in workers.items()}


def row(passes: list[list[float]], memory: list[float], trained: int) -> dict[str, float]:
    """Rates and memory of a variant."""
    gradients, whole = (statistics.median(column) for column in zip(*passes, strict=True))
    return {
        "supervised_tokens_per_second": round(trained / gradients, 1),
        "with_optimizer": round(trained / whole, 1),
        "peak_mib": round(memory[1], 1),
        "peak_above_start_mib": round(memory[1] - memory[0], 1),
    }


def ratios(rows: Rows) -> Rows:
    """Ours over each peer: above 1 is faster, and for memory below 1 is smaller."""
    ours = rows["ours"]
    return {
        variant: {field: round(ours[field] / peer[field], 3) for field in ours}
        for variant, peer in rows.items()
        if variant != "ours"
    }


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--batch", type=int, default=24, help="samples per step")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes over all samples")
    parser.add_argument("--precision", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.worker:
        serve(arguments)
        return 0
    work = workload(arguments.samples, arguments.batch)
    result = describe(work, check_losses(work))
    print(json.dumps(result, indent=1), flush=True)
    trained, batches = sum(sum(pack.trained) for pack in work.packs), len(work.packs)
    for precision in arguments.precision:
        rows = measure(precision, batches, trained, arguments)
        result[precision] = {"rows": rows, "ours_over": ratios(rows)}
        for variant, figures in rows.items():
            print(f"{precision:10s}{variant:20s}{figures}", flush=True)
    print(json.dumps(result))
    return 0


def describe(work: Workload, difference: float) -> dict[str, object]:
    """What was measured, for the last line."""
    tokens, cells = sum(len(p.ids) for p in work.packs), sum(p.ids.numel() for p in work.padded)
    return {
        "benchmark": "training_step",
        "samples": sum(len(p.lengths) for p in work.packs),
        "tokens": tokens,
        "supervised_tokens": sum(sum(p.trained) for p in work.packs),
        "tiles": sum(len(p.tiles) for p in work.packs),
        "padding": round(1 - tokens / cells, 3),
        "largest_loss_difference": difference,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers)},
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main())
