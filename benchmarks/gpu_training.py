"""Training on one GPU at a released shape: seconds, useful FLOPs, wait for data, memory.

    PYTHONPATH=src python benchmarks/gpu_training.py [--shape 8b|toy] [--device cuda] [--only WORD ...]

Random bfloat16 weights with float32 masters, through the real `Trainer`: its loader draws pictures of six
tiles and a thumbnail with questions in worker processes, its optimizer (AdamW) takes every step. A case is a
process of its own. Told are medians of the steps behind the first ones:

- `mfu`: FLOPs that the mathematics needs (`train/plan/flops.py`: nothing that is computed a second time, and
  nothing that fills up a pack) over what the device's maker says of it;
- `wait`: the share of the time in which a step waited for its packs.

The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from gpu_models import NOMINAL, drawn

from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.loop import Trainer
from tessera.train.objective.learner import ChatLearner
from tessera.train.plan.flops import effort_of
from tessera.train.recipe import Recipe, Stage
from tessera.train.setup import Setup
from tessera.train.update.rules import Rule

FULL = (Rule(pattern=".", learning_rate=1e-5),)
LORA = (Rule(pattern=r"^decoder\.layers\.", learning_rate=1e-4, lora=LoRAConfig()), Rule(pattern="."))
CASES: dict[str, tuple[tuple[Rule, ...], int, dict[str, Any]]] = {
    "full 16k, blocks recomputed": (FULL, 16384, {"recompute": "blocks"}),
    "full 32k, blocks recomputed": (FULL, 32768, {"recompute": "blocks"}),
    "full 32k, blocks recomputed, compiled": (FULL, 32768, {"recompute": "blocks", "compile": "inductor"}),
    "lora 16k": (LORA, 16384, {}),
    "lora 16k, compiled": (LORA, 16384, {"compile": "inductor"}),
}
"""Rules, tokens of a pack, and how a step is computed."""


def setup_of(case: str, arguments: argparse.Namespace) -> Setup:
    """The recipe of a case, with a model drawn on the device."""
    rules, tokens, how = CASES[case]
    tokens //= arguments.shrink
    device = torch.device(arguments.device)
    model, family, tokenizer = drawn(arguments.shape, device)
    side = model.config.vision.image_size
    pictures = PlaygroundSource(
        name="drawn", suites={"shapes": 1.0, "text": 1.0}, sizes=((3 * side, 2 * side),)
    )
    a_tile = model.config.tokens_per_tile
    stage = Stage(
        name="measured",
        steps=1000,
        rules=rules,
        sources=(pictures,),
        packing=PackingConfig(max_tokens=tokens, max_tiles=tokens // a_tile - 4, workers=arguments.workers),
        **how,
    )
    quiet = {"save_every": 10**6, "best": "no"}
    recipe = Recipe(name="measured", stages=(stage,), device=arguments.device, log_every=2, **quiet)
    learner = ChatLearner(model, tokenizer, family.encoder(tokenizer), family)
    sources, report = stage.objective.check(stage, learner)
    return Setup(recipe, recipe, learner, (sources,), ((),), report)


def measure(case: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """In this process: steps of the trainer, the first ones left out."""
    setup = setup_of(case, arguments)
    effort = effort_of(setup.learner.model.config, setup.recipe.stages[0].rules)
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(setup, Path(folder) / "run")
        with closing(trainer.run()) as steps:
            for report in steps:
                reports.append(report)
                if len(reports) == arguments.steps + arguments.warmup:
                    break
    taken = reports[arguments.warmup :]
    flops = [effort.of(tokens=r.tokens, tiles=r.tiles, pairs=r.pairs, supervised=r.trained) for r in taken]
    speed = statistics.median(f / r.seconds for f, r in zip(flops, taken, strict=True))
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    found: dict[str, Any] = {
        "seconds a step": statistics.median(r.seconds for r in taken),
        "tokens a step": statistics.median(r.tokens for r in taken),
        "tiles a step": statistics.median(r.tiles for r in taken),
        "token fill": taken[-1].token_fill,
        "useful TFLOP/s": speed / 1e12,
        "wait": sum(r.wait for r in taken) / sum(r.seconds for r in taken),
        "losses": [r.loss for r in reports],
        "first step": reports[0].seconds,
    }
    if name in NOMINAL:
        found["mfu"] = speed / 1e12 / NOMINAL[name][0]
        found["peak GiB"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def main(words: list[str] | None = None) -> None:
    """One case after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=("8b", "1b", "toy"), default="8b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--shrink", type=int, default=1, help="packs are so many times as short")
    parser.add_argument("--only", nargs="*", default=[""], help="cases whose names hold one of these words")
    parser.add_argument("--case", choices=tuple(CASES), help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments)))
        return
    rows: dict[str, Any] = {}
    for case in CASES:
        if not any(word in case for word in arguments.only):
            continue
        given = [sys.executable, __file__, *(words or sys.argv[1:]), "--case", case]
        done = subprocess.run(given, stdout=subprocess.PIPE, text=True, check=False)
        failed = {"failed": done.returncode}
        rows[case] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else failed
        print(case, rows[case], flush=True)
    about = {"torch": torch.__version__, "shape": arguments.shape, "device": arguments.device}
    print(json.dumps({"benchmark": "gpu_training", **about, "rows": rows}))


if __name__ == "__main__":
    main()
