"""A LoRA fine-tune of the real InternVL3-1B shape on a CPU, from a folder to a merged model in transformers.

    python benchmarks/lora_real_shape.py [--shape 1b] [--steps 5] [--frozen stored|int8|int4] [--threads 2]

The checkpoint has random bfloat16 weights in transformers' layout, with the toy's tokenizer. A process of its
own trains the decoder's factors (rank 16, as published) through the real `Trainer` on packs of drawn pictures
of one and three tiles with questions, and tells seconds a step and its peak memory. Then the adapter is
merged into the stored weights, logits compared, and in float32:

- transformers with PEFT's adapter gives the logits of our model with the factors beside its weights;
- transformers with the merged folder gives the logits of ours.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from inference_checkpoint import write

from tessera.checkpoints.conversion.agreement import Agreement, compare, probe, random_prompt
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.lora.merging import merge_adapter
from tessera.models.vlm import normalise
from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.records.manifest import PlaygroundSource
from tessera.train.loop import Trainer
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule

SEEN = 24
"""Positions behind the tile whose logits are compared, as `agreement.probe` does."""


def recipe(base: Path, args: argparse.Namespace) -> Recipe:
    """Published factors (rank 16, alpha 32, dropout 0.05, the decoder), at a rate that five steps show."""
    lora = Rule(pattern=r"^decoder\.layers\.", learning_rate=1e-3, weight_decay=0.01, lora=LoRAConfig())
    pictures = PlaygroundSource(
        name="pictures", suites={"shapes": 1.0}, sizes=((448, 448), (896, 448)), questions=8
    )
    stage = Stage(
        name="tuned",
        steps=args.steps,
        rules=(lora, Rule(pattern=".")),
        sources=(pictures,),
        packing=PackingConfig(max_tokens=args.tokens, max_tiles=args.tiles),
    )
    start = Start(checkpoint=str(base), frozen=args.frozen)
    return Recipe(name="lora_real_shape", stages=(stage,), start=start, device="cpu", save_every=10**6)


def train(base: Path, out: Path, args: argparse.Namespace) -> dict[str, Any]:
    """In this process: seconds and counts of every step, peak memory before the first and of all."""
    started = time.perf_counter()
    trainer = Trainer(set_up(recipe(base, args)), out)
    opened = {"open_seconds": time.perf_counter() - started, "open_gib": peak_gib()}
    steps = [
        {"seconds": r.seconds, "tokens": r.tokens, "tiles": r.tiles, "trained": r.trained, "loss": r.loss}
        for r in trainer.run()
    ]
    return {**opened, "steps": steps, "peak_gib": peak_gib(), "adapter": str(trainer.stage_folder(0))}


def peak_gib() -> float:
    """Most memory that this process ever had: VmHWM, which counts pages of mapped files, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


@torch.inference_mode()
def their_logits(model: Any, ours: Loaded) -> torch.Tensor:
    """transformers' logits for the prompt of `probe`."""
    ids, tiles = random_prompt(ours.model, ours.tokenizer, 0)
    pixels = normalise(tiles, ours.model.config.mean, ours.model.config.std, torch.float32)
    answer: torch.Tensor = model(input_ids=ids[None], pixel_values=pixels).logits[0, -SEEN:]
    return answer


def sides(base: Path, adapter: Path) -> Iterator[Loaded]:
    """The base alone, and with the adapter."""
    yield load_checkpoint(base, dtype=torch.float32)
    yield load_checkpoint(base, dtype=torch.float32, adapter=adapter, apart=True)


def compared(folder: Path, adapter: Path | None) -> Agreement:
    """Our float32 logits for a folder, with its adapter apart, beside those of transformers and PEFT."""
    import peft
    import transformers

    ours = load_checkpoint(folder, dtype=torch.float32, adapter=adapter, apart=True)
    first = probe(ours.model, ours.tokenizer)
    theirs = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    opened = theirs if adapter is None else peft.PeftModel.from_pretrained(theirs, adapter).eval()
    return compare(first, their_logits(opened, ours))


def told(agreement: Agreement) -> dict[str, float]:
    """Largest difference and largest logit; stops where they are not equal but for rounding."""
    if not agreement.within(1e-4):
        raise SystemExit(f"logits differ by {agreement.max_abs} of {agreement.scale}")
    return {"max_abs": agreement.max_abs, "scale": agreement.scale}


def main() -> None:
    """Write, train in another process, merge, compare, tell."""
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.base:
        print(json.dumps(train(args.base, args.out, args)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        base, run, merged = Path(name, "base"), Path(name, "run"), Path(name, "merged")
        write(base, args.shape, "transformers")
        words = [sys.executable, __file__, *sys.argv[1:], "--base", str(base), "--out", str(run)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        adapter = Path(found.pop("adapter"))
        started = time.perf_counter()
        conversion = merge_adapter(adapter, merged)
        assert conversion.agreement is not None
        found["merge"] = {
            "seconds": time.perf_counter() - started,
            "max_abs": conversion.agreement.max_abs,
            "scale": conversion.agreement.scale,
        }
        effect = compare(*(probe(loaded.model, loaded.tokenizer) for loaded in sides(base, adapter)))
        found["adapter_changes_logits_by"] = effect.max_abs
        found["peft_apart"] = told(compared(base, adapter))
        found["transformers_merged"] = told(compared(merged, None))
        size = (adapter / "adapter_model.safetensors").stat().st_size
    later = [step["seconds"] for step in found["steps"][1:]] or [found["steps"][0]["seconds"]]
    result = {
        **{"shape": args.shape, "frozen": args.frozen, "threads": args.threads, "adapter_bytes": size},
        "seconds_a_step": statistics.median(later),
        **found,
        **{"torch": torch.__version__, "machine": platform.processor() or platform.machine()},
    }
    print(json.dumps(result))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", choices=("1b", "8b", "toy"), default="1b")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--tiles", type=int, default=8)
    parser.add_argument("--frozen", choices=("stored", "int8", "int4"), default="stored")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made: 6 GB for 1b")
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
