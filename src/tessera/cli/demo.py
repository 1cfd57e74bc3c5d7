"""`tessera demo`: train the scale model through three stages, measure every stage, show what it learned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import tessera
from tessera.chat.message import Image
from tessera.checkpoints.load import load_checkpoint
from tessera.cli.train import bars, prepare, train
from tessera.engine.engine import Engine
from tessera.engine.request import Sampling
from tessera.evaluation.report import Report, StageResult, write_report
from tessera.evaluation.runner import TaskResults, evaluate
from tessera.evaluation.tasks import Item
from tessera.imaging.decode import decode_image
from tessera.playground.scene import SINGLE_PICTURE_TASKS, draw_scene
from tessera.playground.talk import Mode
from tessera.runtime.seeds import derive_seed
from tessera.train.build import ConversationBench
from tessera.train.loop import Trainer
from tessera.train.recipe import load_recipe
from tessera.train.telemetry import read_reports

RECIPE = Path("src/tessera/recipes/scale_model/internvl_2_5.py")
SHOWN_PACKS = 12
QUESTIONS_SHOWN = 5


@dataclass(frozen=True)
class Arguments:
    """Train the scale model through the recipe of InternVL 2.5 and measure every stage."""

    out: Path = Path("runs/demo")
    """Folder of the run; an interrupted demo goes on there."""
    recipe: Path = RECIPE
    """The recipe file."""
    count: int = 60
    """Held-out questions per task."""
    json: bool = False
    """Print the figures as one JSON object at the end."""


def main(argv: list[str]) -> int:
    """Entry of the verb."""
    given = tyro.cli(Arguments, args=argv, prog="tessera demo", config=(tyro.conf.FlagCreatePairsOff,))
    began = perf_counter()
    console = Console(stderr=given.json)
    with bars(console) as progress:
        trainer = prepare(load_recipe(given.recipe), given.out, progress)
        demo = Demo(trainer, given.count, progress)
        demo.run()
    console.print(demo.table())
    page = write_report(given.out / "report.html", demo.report())
    console.print(f"report with pictures and curves: {page}", soft_wrap=True)
    demo.show_new_picture(given.out, console)
    console.print(f"{(perf_counter() - began) / 60:.1f} minutes")
    if given.json:
        print(json.dumps(demo.summary()))
    return 0


class Demo:
    """A training run whose stages are measured as they finish."""

    def __init__(self, trainer: Trainer, count: int, progress: Progress) -> None:
        self.trainer, self.count, self.progress = trainer, count, progress
        if not isinstance(trainer.bench, ConversationBench):
            raise ValueError(
                "recipe.objective: the demo shows conversations; choose a recipe of that objective"
            )
        self.bench = trainer.bench
        self.results: dict[int, TaskResults] = {}
        self.packs = self._look_at_packs()

    def run(self) -> None:
        """Baseline, then the stages; stages that an earlier call finished are measured from their folders."""
        engine = Engine(self.bench.model.eval(), self.bench.tokenizer, self.bench.encoder.stop_ids)
        self.baseline = self._evaluate(engine, "text only", "blind")
        for index in range(self.trainer.resumed_at[0] if self.trainer.resumed_at else 0):
            self._measure(index)
        self.trainer.after_stage = lambda index, _: self._measure(index)
        self.figures = train(self.trainer, self.progress)

    def _measure(self, index: int) -> None:
        engine = Engine.of(load_checkpoint(self.trainer.stage_folder(index)))
        self.results[index] = self._evaluate(engine, self.trainer.recipe.stages[index].name, "picture")

    def _evaluate(self, engine: Engine, name: str, mode: Mode) -> TaskResults:
        task = self.progress.add_task(f"measure {name}", total=None, note="")
        move = partial(self._move, task)
        results = evaluate(engine, self.bench.encoder, count=self.count, mode=mode, progress=move)
        mean = results.single_picture_mean
        self.progress.console.print(f"{name}: {mean:.1%} of the questions about one picture right")
        return results

    def _move(self, task: int, done: int, total: int) -> None:
        self.progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

    def _look_at_packs(self) -> list[tuple[int, ...]]:
        """Sample lengths of the last stage's first packs."""
        index = len(self.trainer.recipe.stages) - 1
        loader = self.bench.loader(self.trainer.recipe.stages[index], index)
        packs = [next(loader).lengths for _ in range(SHOWN_PACKS)]
        loader.close()
        return packs

    def table(self) -> Table:
        """Accuracy per task and stage, then speed and pack fill."""
        table = Table(
            "task", "text only", *(r.name for r in self.trainer.recipe.stages), title="held-out accuracy"
        )
        columns = [self.baseline, *self.results.values()]
        for name in self.baseline.tasks:
            table.add_row(name, *(f"{c.tasks[name].share.accuracy:.0%}" for c in columns))
        table.add_section()
        means = [f"{c.mean(SINGLE_PICTURE_TASKS):.1%}" for c in columns]
        table.add_row("mean, one picture", *means, style="bold")
        stages = [self.figures.get(stage.name, {}) for stage in self.trainer.recipe.stages]
        table.add_row(
            "trained, tokens/s", "", *(f"{s['tokens_per_second']:,.0f}" if s else "" for s in stages)
        )
        table.add_row("pack fill", "", *(f"{s['token_fill']:.1%}" if s else "" for s in stages))
        for column in table.columns[1:]:
            column.justify = "right"
        return table

    def report(self) -> Report:
        """The page of the run."""
        recipe = self.trainer.recipe
        losses: dict[str, list[tuple[int, float]]] = {stage.name: [] for stage in recipe.stages}
        for step in read_reports(self.trainer.folder / "telemetry.jsonl"):
            losses[step.stage].append((step.step, step.loss))
        stages = [
            StageResult(
                stage.name,
                self.results[index],
                losses[stage.name],
                self.figures.get(stage.name, {}).get("tokens_per_second"),
                self.figures.get(stage.name, {}).get("token_fill"),
            )
            for index, stage in enumerate(recipe.stages)
        ]
        settings = {"recipe": recipe.name, "seed": recipe.seed, "tessera": tessera.__version__}
        settings |= self.bench.encoder.describe()
        capacity = recipe.stages[-1].packing.max_tokens
        return Report("Tessera: the scale model", stages, self.baseline, settings, self.packs, capacity)

    def show_new_picture(self, out: Path, console: Console) -> None:
        """A picture that was not in training, saved, with some questions and the model's answers."""
        scene = draw_scene("shapes", derive_seed("heldout", "demo", self.trainer.recipe.seed), level=2)
        part = scene.media[0]
        assert isinstance(part, Image)
        file = out / "new_picture.png"
        decode_image(part.source).save(file)
        questions = {q.kind: q for q in scene.questions}
        items = [Item(scene, q) for q in questions.values()][:QUESTIONS_SHOWN]
        prompts = [self.bench.encoder.encode(item.prompt("picture"), generate=True) for item in items]
        engine = Engine(self.bench.model.eval(), self.bench.tokenizer, self.bench.encoder.stop_ids)
        table = Table("question", "answer", "right answer", title=f"{file}, not seen in training")
        for item, answer in zip(items, engine.generate(prompts, Sampling()), strict=True):
            table.add_row(item.question.text, answer.text, item.question.answer)
        console.print(table)
        last = self.trainer.stage_folder(len(self.trainer.recipe.stages) - 1)
        question = items[0].question.text
        console.print(f'ask it yourself: tessera chat {file} "{question}" --model {last}', soft_wrap=True)

    def summary(self) -> dict[str, object]:
        """All figures as plain JSON values."""
        names = [stage.name for stage in self.trainer.recipe.stages]
        return {
            "text_only": self.baseline.summary(),
            "stages": {name: self.results[i].summary() for i, name in enumerate(names)},
            "training": self.figures,
        }
