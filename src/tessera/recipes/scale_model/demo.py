"""A run that is measured on held-out questions while it goes on: before it, and behind every stage."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tessera.chat.message import Image
from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.load import load_checkpoint
from tessera.engine.engine import Engine
from tessera.evaluation.report import Report, StageResult
from tessera.evaluation.runner import TaskResults, evaluate
from tessera.evaluation.tasks import HeldoutItem
from tessera.imaging.decode import decode_image
from tessera.playground.scene import draw_scene
from tessera.playground.talk import Mode
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed
from tessera.train.loop import Trainer
from tessera.train.objective.learner import ChatLearner
from tessera.train.recipe import Stage
from tessera.train.watch.journal import read_reports
from tessera.train.watch.telemetry import StepReport, stage_figures

SHOWN_PACKS = 12
QUESTIONS_SHOWN = 5


class Demo:
    """A training run whose stages are measured as they finish.

    `after_stage` belongs into the trainer that `run` gets. `told` takes a line about each measurement.
    """

    trainer: Trainer
    baseline: TaskResults

    def __init__(self, count: int, progress: Progress, told: Callable[[str], object]) -> None:
        self.count, self.progress, self.told = count, progress, told
        self.results: dict[int, TaskResults] = {}
        self.figures: dict[str, dict[str, float]] = {}

    def run(self, trainer: Trainer) -> Iterator[StepReport]:
        """Baseline, then the stages; stages that an earlier call finished are measured from their folders."""
        if not isinstance(trainer.setup.learner, ChatLearner):
            raise ValueError(
                f"recipe {trainer.recipe.name!r}: the demo shows conversations; choose one that trains them"
            )
        self.trainer, self.learner = trainer, trainer.setup.learner
        self.packs = self._look_at_packs()
        untrained = Engine(self.learner.model.eval(), self.learner.tokenizer, self.learner.encoder.stop_ids)
        self.baseline = self._evaluate(untrained, "text only", "blind")
        for index in range(trainer.resumed_at[0] if trainer.resumed_at else 0):
            self.after_stage(index, trainer.recipe.stages[index])
        reports = []
        for report in trainer.run():
            reports.append(report)
            yield report
        self.figures = stage_figures(reports)

    def after_stage(self, index: int, stage: Stage) -> None:
        """Measure a finished stage."""
        self.results[index] = self._evaluate(_engine(self.trainer.stage_folder(index)), stage.name, "picture")

    def report(self, versions: Mapping[str, str]) -> Report:
        """The page of the run; `versions` go to its settings."""
        recipe = self.trainer.recipe
        losses: dict[str, list[tuple[int, float]]] = {stage.name: [] for stage in recipe.stages}
        held_out: dict[str, list[tuple[int, float]]] = {stage.name: [] for stage in recipe.stages}
        for step in read_reports(self.trainer.folder):
            if not step.skipped:
                losses[step.stage].append((step.step, step.loss))
            if step.validation_loss is not None:
                held_out[step.stage].append((step.step, step.validation_loss))
        stages = []
        for index, stage in enumerate(recipe.stages):
            told = self.figures.get(stage.name, {})
            speed, fill = told.get("tokens_per_second"), told.get("token_fill")
            figures = self.results[index], losses[stage.name], speed, fill, held_out[stage.name]
            stages.append(StageResult(stage.name, *figures))
        settings = {"recipe": recipe.name, "seed": recipe.seed, **versions, **self.learner.encoder.describe()}
        capacity = recipe.stages[-1].packing.max_tokens
        return Report("Tessera: the scale model", stages, self.baseline, settings, self.packs, capacity)

    def new_picture(self) -> tuple[Path, list[tuple[str, str, str]]]:
        """The file of a picture that was not in training; question, answer and right answer of some kinds."""
        scene = draw_scene("shapes", derive_seed("heldout", "demo", self.trainer.recipe.seed), level=2)
        part = scene.media[0]
        assert isinstance(part, Image)
        file = self.trainer.folder / "new_picture.png"
        decode_image(part.source, reading=part.reading).save(file)
        questions = {q.kind: q for q in scene.questions}
        items = [HeldoutItem(scene, q) for q in questions.values()][:QUESTIONS_SHOWN]
        prompts = [self.learner.encoder.encode(item.prompt("picture"), generate=True) for item in items]
        answers = [answer.sound() for answer in _engine(self.last_folder).generate(prompts)]
        return file, [
            (i.question.text, a.text, i.question.answer) for i, a in zip(items, answers, strict=True)
        ]

    @property
    def last_folder(self) -> Path:
        """The model of the last stage."""
        return self.trainer.stage_folder(len(self.trainer.recipe.stages) - 1)

    def summary(self) -> dict[str, object]:
        """All figures as plain JSON values."""
        stages = enumerate(self.trainer.recipe.stages)
        return {
            "text_only": self.baseline.summary(),
            "stages": {stage.name: self.results[index].summary() for index, stage in stages},
            "training": self.figures,
        }

    def _evaluate(self, engine: Engine, name: str, mode: Mode) -> TaskResults:
        def move(_: str, done: int, total: int | None) -> None:
            self.progress(f"measure {name}", done, total)

        results = evaluate(engine, self.learner.encoder, count=self.count, mode=mode, progress=move)
        self.told(f"{name}: {results.single_picture_mean:.1%} of the questions about one picture right")
        return results

    def _look_at_packs(self) -> list[tuple[int, ...]]:
        """Sample lengths of the last stage's first packs."""
        with closing(self.trainer.setup.loader(len(self.trainer.recipe.stages) - 1)) as loader:
            return [next(loader).lengths for _ in range(SHOWN_PACKS)]


def _engine(folder: Path) -> Engine:
    model, adapter = find_with_adapter(folder)
    return Engine.of(load_checkpoint(model, adapter=adapter))
