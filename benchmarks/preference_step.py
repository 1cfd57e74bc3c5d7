"""Pairs per second and peak memory of an MPO step: ours against TRL's DPO trainer.

    python benchmarks/preference_step.py [--trl FOLDER] [--variants shared apart padded checkpointed]
        [--pairs 3] [--tiles 1] [--precision bfloat16] [--steps 1] [--threads 1]

The 1B shape: InternViT-300M, Qwen2.5-0.5B, random weights, LoRA of rank 16 beside the decoder's linears, all
else frozen; the reference is the model without its factors. A pair is a picture, a question of half as many
words as an answer has, and two answers of 80 to 240 tokens. A step is the reference's forward, forward and
backward over the same pairs with MPO's losses (sigmoid 0.8, BCO 0.2, generation 1.0); BCO's running mean is
left out, for TRL has none any more.

- shared: ours, both answers behind one prompt and one picture, in one pack;
- recomputed: the same with `Stage.recompute` "blocks", which keeps as little as `checkpointed`;
- apart: ours in the form of two sequences, each answer with a prompt and a picture of its own, not padded;
- padded: TRL's loss over transformers' InternVL with PEFT, a batch padded on the right, pictures twice;
- checkpointed: the same with gradient checkpointing, TRL's default.

Each variant has a process of its own; they take steps in turn, behind one short step that warms up; processor
time. Losses and gradient norms are compared: in float32 they must agree to 1e-4 and 1e-3 or the run stops.
Rows hold those of the first step, so that runs of one variant each can be compared, too.
--trl: a folder that holds TRL, where it is not installed. The last line is one JSON object.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = os.environ.get("BENCHMARK_THREADS", "1")  # read when numpy and torch load

import argparse
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import torch
from preference_sides import PEERS, Ours, Theirs, draw_pairs
from training_sides import shape_of
from training_step import DTYPES, MOST_APART, SHRINK, WARM_UP, answer_steps
from training_workload import Mixture

from tessera.packing.pack import Sample

VARIANTS = ("shared", "recomputed", "apart", *PEERS)
SHORTEST, LONGEST = 80, 240
"""Tokens of an answer."""


def make_side(arguments: argparse.Namespace) -> Any:
    """What a worker runs."""
    name, dtype = arguments.worker, DTYPES[arguments.precision]
    if name in PEERS:
        return Theirs(arguments.shape, dtype, name == "checkpointed")
    return Ours(arguments.shape, dtype, name == "apart", "blocks" if name == "recomputed" else "none")


def drawn(arguments: argparse.Namespace) -> list[list[Sample]]:
    """The pairs of all steps; at the end one alone, to warm up with."""
    shrink, config = SHRINK[arguments.shape], shape_of(arguments.shape)
    mixture = Mixture(SHORTEST // shrink, LONGEST // shrink, arguments.tiles, arguments.pairs, 0)
    steps = [draw_pairs(config, mixture, seed) for seed in range(arguments.steps)]
    return [*steps, steps[0][:1]]


def serve(arguments: argparse.Namespace) -> None:
    """A worker: a step per line of input, answered by seconds, loss and gradient norm; then its memory."""
    answer_steps(make_side(arguments), drawn(arguments))


class Variant:
    """A side in its own process."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        kept = ("shape", "precision", "pairs", "tiles", "steps", "threads", "trl")
        options = [str(part) for key in kept for part in (f"--{key}", getattr(arguments, key))]
        self.name, self.seconds = name, list[float]()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"BENCHMARK_THREADS": str(arguments.threads)},
        )

    def step(self, index: int) -> tuple[float, float]:
        """Loss and gradient norm; the time is kept."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{index}\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise SystemExit(f"{self.name} died in step {index}; its own words stand above")
        seconds, loss, norm = json.loads(answer)
        if index != WARM_UP:
            self.seconds.append(seconds)
        return loss, norm

    def finish(self, pairs: int) -> dict[str, float]:
        """The row of so many pairs."""
        before, peak = json.loads(self.process.communicate()[0].splitlines()[-1])
        return {
            "pairs_per_minute": round(60 * pairs / sum(self.seconds), 3),
            "seconds_per_step": round(sum(self.seconds) / len(self.seconds), 2),
            "peak_mib": round(peak),
            "of_it_step_mib": round(peak - before),
        }


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Rows of all variants, and the differences of their losses and norms."""
    steps = drawn(arguments)[:WARM_UP]
    rows: dict[str, dict[str, float]] = {}
    found: dict[tuple[int, str], tuple[float, float]] = {}
    for together in [[n] for n in arguments.variants] if arguments.apart else [arguments.variants]:
        variants = [Variant(name, arguments) for name in together]
        for index in (WARM_UP, *range(len(steps))):
            found |= {(index, variant.name): variant.step(index) for variant in variants}
        rows |= {variant.name: variant.finish(sum(map(len, steps))) for variant in variants}
    for name, row in rows.items():
        row |= dict(zip(("loss", "gradient_norm"), found[0, name], strict=True))
    apart = [0.0, 0.0]
    for (index, _), figures in found.items():
        first = found[index, arguments.variants[0]]
        for place, (one, other) in enumerate(zip(first, figures, strict=True)):
            apart[place] = max(apart[place], abs(one - other) / abs(other))
    if any(is_ > most for is_, most in zip(apart, MOST_APART[arguments.precision], strict=True)):
        raise SystemExit(f"losses and norms differ by {apart}: the variants don't compute the same")
    return {
        "pairs": sum(map(len, steps)),
        "answers": [[pair.branches for pair in step] for step in steps],
        "tokens_shared": sum(len(pair.ids) for step in steps for pair in step),
        "differences": {"loss": apart[0], "gradient_norm": apart[1]},
        "rows": rows,
        "over": {
            f"{us} over {them}": over(rows[us], rows[them])
            for us in rows
            for them in rows
            if us not in PEERS and (them in PEERS or them == "apart" != us)
        },
    }


def over(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Ratios: above 1 is faster, and for memory below 1 is smaller."""
    fields = "pairs_per_minute", "peak_mib", "of_it_step_mib"
    return {field: round(ours[field] / theirs[field], 3) for field in fields}


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--precision", choices=DTYPES, default="bfloat16")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of a step")
    parser.add_argument("--tiles", type=int, default=1, help="tiles of a pair's picture")
    parser.add_argument("--steps", type=int, default=1, help="timed steps")
    parser.add_argument("--shape", choices=tuple(SHRINK), default="1b")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--apart", action="store_true", help="one variant after the other: less memory")
    parser.add_argument("--trl", default="", help="a folder that holds TRL")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.trl:
        sys.path.append(arguments.trl)
    if arguments.worker:
        serve(arguments)
        return 0
    found = measure(arguments)
    print(json.dumps(found, indent=1), flush=True)
    settings = {"shape": arguments.shape, "threads": arguments.threads, "python": platform.python_version()}
    names = ("torch", "transformers", "peft") + ("trl",) * any(name in PEERS for name in arguments.variants)
    versions = {name: version(name) for name in names}
    print(json.dumps({"benchmark": "preference_step", **settings, "versions": versions, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
