"""Peaks of memory that a plan foretells beside those that the same step takes, in a process for each row.

    python benchmarks/memory_plan.py [--rows 4] [--usual-malloc]

A model of random weights trains four steps on the pack that was planned for. What is measured is the peak of
the process (VmHWM, reset after model and pack are there) over its size before the model. glibc is told to
give back what is freed, as its habits otherwise differ from run to run. The last line printed is one JSON
object.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch

from tessera.chat.encoder import Lengths
from tessera.checkpoints.fill import replaceable
from tessera.models.config import DecoderConfig, ModelConfig, VisionConfig, VLMConfig
from tessera.nn.drop_path import set_drop_path
from tessera.nn.linear import make_linear
from tessera.nn.lora import LoRAConfig, replace_module
from tessera.nn.recompute import set_recompute
from tessera.records.manifest import PlaygroundSource
from tessera.runtime.device import bound_product_caches
from tessera.train.objective import AnyObjective
from tessera.train.objective.contrastive import ContrastiveObjective
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.plan.machine import USUAL
from tessera.train.plan.memory import StepMemory, step_memory
from tessera.train.plan.packs import PackPlan
from tessera.train.plan.shape import with_factors
from tessera.train.plan.subject import Subject, subject_of
from tessera.train.plan.trial import Conditions
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.step import Step
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer
from tessera.train.update.rules import Rule, assign

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Row:
    """What is trained, how, and on which samples."""

    name: str
    vision: tuple[int, int] = (256, 4)
    """Width and depth of the ViT."""
    decoder: tuple[int, int] = (512, 8)
    precision: str = "float32"
    rank: int = 0
    frozen: str = "stored"
    recompute: str = "none"
    batches: int = 1
    samples: tuple[tuple[int, int, int], ...] = ((300, 1, 40),) * 5
    optimizer: str = "adamw"
    objective: AnyObjective = ConversationObjective()
    side: int = 224

    def config(self) -> ModelConfig:
        """A ViT of 224-pixel tiles (64 tokens each) or larger ones, and a Qwen-like decoder."""
        (seen, deep), (width, layers) = self.vision, self.decoder
        return VLMConfig(
            vision=VisionConfig(
                image_size=self.side, hidden_size=seen, num_hidden_layers=deep,
                num_attention_heads=seen // 64,
                intermediate_size=4 * seen,
            ),
            decoder=DecoderConfig(
                vocab_size=32000, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                num_attention_heads=width // 64, num_key_value_heads=max(1, width // 256),
            ),
            image_token_id=7,
        )  # fmt: skip

    def recipe(self) -> Recipe:
        """One stage."""
        rule = {"learning_rate": 1e-4, "weight_decay": 0.01}
        rules: tuple[Rule, ...] = (Rule(pattern=".", **rule),)
        if self.rank:
            lora = Rule(pattern=r"^decoder\.layers\..+_proj\.", lora=LoRAConfig(rank=self.rank), **rule)
            rules = (lora, Rule(pattern="."))
        stage = Stage(
            name="planned",
            steps=2,
            rules=rules,
            recompute=self.recompute,
            accumulate=self.batches,
            sources=(PlaygroundSource(name="none", suites={"shapes": 1.0}),),
            objective=self.objective,
            optimizer=OptimizerConfig(kind=self.optimizer),
        )
        checkpoint = "made up" if isinstance(self.objective, ConversationObjective) else None
        start = Start(checkpoint=checkpoint, frozen=self.frozen)
        return Recipe(name="memory", stages=(stage,), start=start, precision=self.precision, device="cpu")

    @property
    def subject(self) -> Subject:
        """The model without memory, and its batch."""
        pack = PackPlan(tuple(Lengths(*sample) for sample in self.samples), "made up")
        return subject_of(self.recipe(), 0, self.config(), pack)


def shape_of(row: Row, recipe: Recipe) -> Any:
    """A model without memory, with the factors and the quantised bases of the row."""
    rules = recipe.stages[0].rules
    model = with_factors(row.subject.model(), rules)
    if row.frozen != "stored":
        for path, linear in replaceable(model, row.frozen).items():
            if not linear.weight.requires_grad or row.rank:
                replace_module(model, path, make_linear(row.frozen, linear.weight, linear.bias))
    return model


def planned(row: Row) -> StepMemory:
    """What the plan says."""
    recipe = row.recipe()
    dtype = torch.float32 if row.precision == "float32" else torch.bfloat16
    conditions = Conditions(torch.device("cpu"), dtype, dtype)
    return step_memory(recipe, 0, row.subject, conditions)


def real_model(row: Row, recipe: Recipe, masters: Masters) -> Any:
    """Random weights in the dtype of the run, with what the stage has."""
    dtype = torch.float32 if row.precision == "float32" else torch.bfloat16
    model = shape_of(row, recipe)
    generator = torch.Generator().manual_seed(0)
    made: dict[int, Any] = {}
    for module in (*model.modules(), *(m for one in getattr(model, "beside", ()) for m in one.modules())):
        for own in (module._parameters, module._buffers):
            for name, tensor in own.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    kept = dtype if tensor.is_floating_point() and tensor.dim() else tensor.dtype
                    new = torch.empty(tensor.shape, dtype=kept)
                    if kept.is_floating_point:
                        new.normal_(0, 0.02, generator=generator)
                    else:
                        new.random_(0, 100, generator=generator)
                    made[id(tensor)] = (
                        torch.nn.Parameter(new) if isinstance(tensor, torch.nn.Parameter) else new
                    )
                own[name] = made[id(tensor)]
    masters.hold(model)
    return model


def measure(row: Row) -> dict[str, float]:
    """Some steps in this process: bytes of the peak over the process before the model, and
    the processor's seconds of the fastest step."""
    bound_product_caches()
    torch.manual_seed(0)
    recipe, stage = row.recipe(), row.recipe().stages[0]
    warm_up(row)
    before = resident("VmRSS")
    masters = Masters(row.precision)
    model = real_model(row, recipe, masters)
    optimizer = Optimizer(assign(model, stage.rules), stage.optimizer, masters)
    model.train()
    set_drop_path(model, stage.drop_path)
    set_recompute(model, stage.recompute)
    batches = [real_pack(row)] * row.batches
    step = Step(stage.objective, model, torch.device("cpu"), most=row.batches)
    peaks, seconds = [], []
    for _ in range(STEPS):
        began = time.process_time()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        step.update(batches, optimizer, 1.0)
        peaks.append(resident("VmHWM") - before)
        seconds.append(time.process_time() - began)
    return {"taken": max(peaks), "left": resident("VmRSS") - before, "seconds": min(seconds)}


def real_pack(row: Row) -> Any:
    """The pack that was planned for, with pixels."""
    from tessera.train.plan.live import MemoryBook

    pack = row.subject.batch(MemoryBook(torch.device("cpu")))
    return replace(pack, tiles=torch.zeros(tuple(pack.tiles.shape), dtype=torch.uint8))


def warm_up(row: Row) -> None:
    """A step of a tiny model: what libraries keep for ever is there before anything is measured."""
    small = replace(row, vision=(64, 1), decoder=(64, 1), objective=ConversationObjective(), side=224)
    masters = Masters(row.precision)
    model, stage = real_model(small, small.recipe(), masters), small.recipe().stages[0]
    optimizer = Optimizer(assign(model, stage.rules), stage.optimizer, masters)
    Step(stage.objective, model, torch.device("cpu")).update([real_pack(small)], optimizer, 1.0)


def resident(what: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(what))


ROWS = (
    Row("full float32"),
    Row("full float32, blocks", recompute="blocks"),
    Row("full float32, selective", recompute="selective"),
    Row("full bfloat16", precision="bfloat16"),
    Row("full bfloat16, two batches", precision="bfloat16", batches=2),
    Row("full bfloat16, blocks", precision="bfloat16", recompute="blocks"),
    Row("LoRA 16, bfloat16", precision="bfloat16", rank=16),
    Row("LoRA 16, bfloat16, blocks", precision="bfloat16", rank=16, recompute="blocks"),
    Row("LoRA 16, bfloat16, int8", precision="bfloat16", rank=16, frozen="int8"),
    Row("LoRA 16, bfloat16, int4", precision="bfloat16", rank=16, frozen="int4"),
    Row("LoRA 16, bfloat16, int4, blocks", precision="bfloat16", rank=16, frozen="int4", recompute="blocks"),
    Row("long documents, bfloat16", precision="bfloat16", samples=((2000, 4, 300),)),
    Row("two towers, bfloat16", precision="bfloat16", objective=ContrastiveObjective(pictures=256)),
    Row(
        "imitate InternViT-300M, bfloat16",
        precision="bfloat16",
        objective=DistillationObjective(teacher="OpenGVLab/InternViT-300M-448px"),
        side=448,
        samples=((300, 1, 40),) * 8,
    ),
)
GIVEN = "TESSERA_ROW"
STEPS = 4


def main() -> None:
    """Every row: the plan here, the measurement in a process of its own."""
    if GIVEN in os.environ:
        print(json.dumps(measure(ROWS[int(os.environ[GIVEN])])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--usual-malloc", action="store_true", help="leave glibc its habits")
    parser.add_argument("--rows", type=int, nargs="*", default=list(range(len(ROWS))))
    given, results = parser.parse_args(), []
    for number in given.rows:
        row, found = ROWS[number], planned(ROWS[number])
        allowances = USUAL if given.usual_malloc else USUAL.model_copy(update={"gaps": 0.0, "heap": 0})
        gaps = found.gaps(allowances.gaps) if given.usual_malloc else 0
        extra = allowances.of(found.total, gaps, on_cpu=True, world=1)
        whole = found.total + extra["kernels"] + extra["allocator"]
        malloc = {} if given.usual_malloc else MALLOC
        out = subprocess.check_output(
            [sys.executable, __file__], env={**os.environ, **malloc, GIVEN: str(number)}, text=True
        )
        seen = json.loads(out.splitlines()[-1])
        taken = seen["taken"]
        figures = {"planned": whole, "tensors": found.total, "measured": taken, "seconds": seen["seconds"]}
        results.append({"row": row.name, **figures})
        figures = " | ".join(f"{size / 1e6:,.0f}" for size in (found.total, whole, taken))
        print(
            f"| {row.name} | {figures} | {whole / taken:.2f} | {' '.join(filter(None, found.fullest))} |",
            flush=True,
        )
    furthest = max(abs(each["planned"] / each["measured"] - 1) for each in results)
    print(json.dumps({"benchmark": "memory_plan", "furthest": round(furthest, 3), "rows": results}))


if __name__ == "__main__":
    main()
