"""What is measured behind a step: the loss on records held out, and answers to questions."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from tessera.train.compiled import uncompiled
from tessera.train.parallel.leading import led
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import totals
from tessera.train.recipe import Stage
from tessera.train.setup import Setup
from tessera.train.state.folder import require_finite
from tessera.train.step import Step
from tessera.train.unread import TakenStep
from tessera.train.vision_cache import without_cache
from tessera.train.watch.evaluation import AnswerHook, Answers, EvaluationReport, EvaluationSpec


class Measuring:
    """Measures the model of a run when its stages say so; `answer` lets it answer questions.

    Answers are given by the process that leads. ValueError when questions are to be asked and nobody answers,
    or several processes have to compute each answer.
    """

    def __init__(self, setup: Setup, model: nn.Module, mesh: ProcessMesh, answer: AnswerHook | None) -> None:
        self._setup, self._model, self._mesh, self._answer = setup, model, mesh, answer
        asking = [stage.name for stage in setup.recipe.stages if stage.evaluation]
        if asking and answer is None:
            raise ValueError(f"stage {asking[0]!r}: evaluation needs somebody who answers; pass answer=")
        if asking and (mesh.tensor is not None or mesh.sequence is not None):
            field = "sequence" if mesh.tensor is None else "tensor"
            raise ValueError(
                f"stage {asking[0]!r}: evaluation is answered by one process, but parallel.{field} has "
                f"several compute each token; use shard instead of {field}, or leave evaluation out (`tune "
                "--ask 0`) and measure the models of the stages"
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
                answers, found["score"] = self._answered(asked)
                if answers is not None:
                    write(EvaluationReport(stage.name, index, step, answers))
        self._model.train()
        return replace(taken, report=replace(report, **found))

    def _answered(self, asked: EvaluationSpec) -> tuple[Answers | None, float]:
        """The answers on the process that leads, and their score on all. FloatingPointError on all."""
        assert self._answer is not None
        ranks, answer, answers, fault = self._mesh.ranks, self._answer, None, None
        require_finite(self._model, ranks)  # together: the leading one alone has parts of the weights
        with without_cache(self._model):
            try:
                answers = led(self._model, ranks, lambda: answer(asked, self._model))
            except FloatingPointError as error:
                fault = error
        (score,) = totals([math.nan if fault else answers.score if answers else 0.0], ranks)
        if math.isnan(score):
            raise fault or FloatingPointError("the scores of answers are not finite: see what rank 0 says")
        return answers, score


def _due(stage: Stage, step: int) -> bool:
    """Whether the held-out loss is measured behind a step."""
    return bool(stage.validation) and ((step + 1) % stage.validate_every == 0 or step + 1 == stage.steps)
