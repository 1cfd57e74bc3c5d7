"""What is measured behind a step: the loss on records held out, and answers to questions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from tessera.train.compiled import uncompiled
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.recipe import Stage
from tessera.train.setup import Setup
from tessera.train.step import Step
from tessera.train.unread import TakenStep
from tessera.train.watch.evaluation import AnswerHook, EvaluationReport


class Measuring:
    """Measures the model of a run when its stages say so; `answer` lets it answer questions.

    ValueError when questions are to be asked and nobody answers, or weights are shared out.
    """

    def __init__(self, setup: Setup, model: nn.Module, mesh: ProcessMesh, answer: AnswerHook | None) -> None:
        self._setup, self._model, self._answer = setup, model, answer
        asking = [stage.name for stage in setup.recipe.stages if stage.evaluation]
        if asking and answer is None:
            raise ValueError(f"stage {asking[0]!r}: evaluation needs somebody who answers; pass answer=")
        if asking and (mesh.weights is not None or mesh.tensor is not None):
            raise ValueError(
                f"stage {asking[0]!r}: evaluation needs whole weights in every process; set "
                "parallel.shard 1, or leave evaluation out and measure the models of the stages"
            )

    def behind(self, taken: TakenStep, compute: Step, write: Callable[[EvaluationReport], None]) -> TakenStep:
        """The step with what is due behind it, measured with the model as it is without drop path.

        Answers are written. FloatingPointError for what is no number.
        """
        report, found = taken.report, dict[str, Any]()
        index, step, stage = report.stage_index, report.step, self._setup.recipe.stages[report.stage_index]
        asked = stage.evaluation if stage.evaluation and stage.evaluation.due(step, stage.steps) else None
        if not _due(stage, step) and asked is None:
            return taken
        self._model.eval()
        with uncompiled(stage.compile):
            if _due(stage, step):
                found["validation_loss"] = compute.measure(self._setup.validation_batches(index))
            if asked is not None and self._answer is not None:
                answers = self._answer(asked, self._model)
                write(EvaluationReport(stage.name, index, step, answers))
                found["score"] = answers.score
        self._model.train()
        return replace(taken, report=replace(report, **found))


def _due(stage: Stage, step: int) -> bool:
    """Whether the held-out loss is measured behind a step."""
    return bool(stage.validation) and ((step + 1) % stage.validate_every == 0 or step + 1 == stage.steps)
