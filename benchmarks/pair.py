"""A training step of 1.0's pair: ours against transformers' modules and the released layout of a batch.

    python benchmarks/pair.py [--pictures 16] [--steps 5] [--threads 1] [--shape small]

The same random weights in both, float32, forward and backward over the same pictures and captions of 12 to
30 tokens; no optimizer. Two steps: `contrast`, stage 1 with all patches; `tasks`, the three losses of stage 2
with all weights trained.

- ours: texts laid end to end; in `tasks` contrast and generation share the queries of a picture;
- padded: `InternVLVisionModel` and `LlamaModel` with texts padded to 80 tokens, as the released scripts do
  (`--pad_to_max_length True`); in `tasks` three stacked copies of 96 queries and 80 tokens with their masks;
- longest: the same padded to the longest text of the batch.

They take steps in turn; processor time. Losses must agree to 1e-5 and gradient norms to 1e-4, or the run
stops. The last line is one JSON object.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = os.environ.get("BENCHMARK_THREADS", "1")  # read when numpy and torch load

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from statistics import median

import torch
from pair_sides import SHAPES, Batch, Ours, Padded, draw

TASKS = ("contrast", "tasks")
MOST_APART = (1e-5, 1e-4)


def main() -> None:
    """Take the steps and print a table, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    ours = Ours(given.shape)
    sides = {"ours": ours, "padded": Padded(ours, 80), "longest": Padded(ours, None)}
    rows = {task: compare(sides, task, given.pictures, given.steps) for task in TASKS}
    for task, seconds in rows.items():
        told = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
        print(f"{task}: {told}; {seconds['padded'] / seconds['ours']:.2f} and "
              f"{seconds['longest'] / seconds['ours']:.2f} times as fast")  # fmt: skip
    facts = {
        "seconds": rows,
        "speedup": {task: {n: s[n] / s["ours"] for n in ("padded", "longest")} for task, s in rows.items()},
        "pictures": given.pictures,
        "shape": given.shape,
        "threads": given.threads,
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(facts))


def compare(sides: dict[str, Ours | Padded], task: str, pictures: int, steps: int) -> dict[str, float]:
    """Median processor seconds of a step, the first left out. Raises SystemExit where losses differ."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(steps + 1):
        batch = draw(sides["ours"].config, pictures, number)
        found = {}
        for name, side in sides.items():
            started = time.process_time()
            found[name] = step(side.contrast if task == "contrast" else side.tasks, side, batch)
            taken[name].append(time.process_time() - started)
        for name, values in found.items():
            for ours, theirs, most in zip(found["ours"], values, MOST_APART, strict=True):
                if abs(ours - theirs) > most * abs(ours):
                    raise SystemExit(f"{task}, step {number}: ours {found['ours']}, {name} {values}")
    return {name: median(values[1:]) for name, values in taken.items()}


def step(loss_of: Callable[[Batch], torch.Tensor], side: Ours | Padded, batch: Batch) -> tuple[float, float]:
    """Loss and norm of the gradients, which are cleared."""
    loss = loss_of(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in side.parameters() if p.grad is not None]
    norm = torch.stack([g.norm() for g in gradients]).norm()
    for parameter in side.parameters():
        parameter.grad = None
    return float(loss.detach()), float(norm)


if __name__ == "__main__":
    main()
