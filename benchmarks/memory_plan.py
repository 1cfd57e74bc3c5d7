"""Memory of a training step: what the plan says before a weight exists, and what the process then takes.

    PYTHONPATH=src python benchmarks/memory_plan.py [--only NAME] [--model-layers 6]

Every row is a process of its own on a CPU: random weights of the 1B shape with fewer blocks, two optimizer
steps on random packs. Measured is the largest resident size after everything was imported, less the size
before the model was made. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tessera.families.catalogue import get_family
from tessera.models.config import VLMConfig
from tessera.nn.lora import LoRAConfig
from tessera.train.plan.memory import Memory, Ways, memory_of
from tessera.train.plan.passes import Workload
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.rules import Rule

DECODER = r"^decoder\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\."
FULL = (Rule(pattern=".", learning_rate=1e-4),)
LORA = (Rule(pattern=DECODER, lora=LoRAConfig(), learning_rate=1e-4), Rule(pattern="."))
CONNECTOR = (Rule(pattern="^connector", learning_rate=1e-4), Rule(pattern="."))
SHORT = Workload((200,) * 10, 4, 700)
LONG = Workload((2048,), 2, 1024)
ROWS: dict[str, tuple[Ways, Workload]] = {
    "full, bfloat16": (Ways(FULL), SHORT),
    "full, bfloat16, one sample": (Ways(FULL), LONG),
    "full, bfloat16, blocks again": (Ways(FULL, recompute="blocks"), SHORT),
    "full, bfloat16, selective": (Ways(FULL, recompute="selective"), SHORT),
    "full, bfloat16, two packs": (Ways(FULL, accumulate=2), SHORT),
    "full, bfloat16, Muon": (Ways(FULL, OptimizerConfig(kind="muon")), SHORT),
    "full, float32": (Ways(FULL, precision="float32"), SHORT),
    "LoRA, bfloat16": (Ways(LORA), SHORT),
    "LoRA, bfloat16, blocks again": (Ways(LORA, recompute="blocks"), LONG),
    "LoRA on int8": (Ways(LORA, frozen="int8"), SHORT),
    "LoRA on int4": (Ways(LORA, frozen="int4"), SHORT),
    "connector": (Ways(CONNECTOR), SHORT),
}


def shape(layers: int, vocabulary: int = 32_000) -> VLMConfig:
    """The 1B shape with fewer blocks and a smaller vocabulary."""
    config = get_family("InternVL3-1B").model
    assert isinstance(config, VLMConfig)
    vision = config.vision.model_copy(update={"num_hidden_layers": layers})
    decoder = config.decoder.model_copy(update={"num_hidden_layers": layers, "vocab_size": vocabulary})
    return config.model_copy(update={"vision": vision, "decoder": decoder, "image_token_id": 5})


def resident(field: str) -> int:
    """Bytes of VmRSS (now) or VmHWM (most since it was reset)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: the memory rows need Linux")


def measure(config: VLMConfig, ways: Ways, work: Workload) -> int:
    """Bytes that two steps took at most."""
    from memory_step import Run

    # Code and buffers that any step needs.
    Run(shape(1), replace(ways, recompute="none"), Workload((64,), 0, 8)).step()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    run = Run(config, ways, work)
    run.step()
    run.step()
    return resident("VmHWM") - before


def row(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the plan says, and what a process measures."""
    command = [sys.executable, __file__, "--worker", name, "--model-layers", str(arguments.model_layers)]
    # Large tensors go back to the system at once, as they do on an accelerator that is full.
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, env={**__import__("os").environ, **environment}, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def worker(name: str, layers: int) -> dict[str, Any]:
    """One row, in this process."""
    ways, work = ROWS[name]
    config = shape(layers)
    planned: Memory = memory_of(config, ways, work)
    taken = measure(config, ways, work)
    parts = {part: round(size / 2**20, 1) for part, size in planned.parts().items()}
    return {
        "row": name,
        "planned_mib": round(planned.total / 2**20, 1),
        "measured_mib": round(taken / 2**20, 1),
        "planned_over_measured": round(planned.total / taken, 3),
        "parts_mib": parts,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", help="the row of this name")
    parser.add_argument("--model-layers", type=int, default=6, help="blocks of ViT and decoder")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.worker:
        print(json.dumps(worker(arguments.worker, arguments.model_layers)))
        return 0
    rows = []
    for name in [arguments.only] if arguments.only else ROWS:
        rows.append(row(name, arguments))
        print(rows[-1], flush=True)
    off = [abs(found["planned_over_measured"] - 1) for found in rows]
    print(json.dumps({"benchmark": "memory_plan", "largest_error": round(max(off), 3), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
