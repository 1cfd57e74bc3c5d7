"""What a step says about itself, and the figures of a stage."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator


def _number(value: Any) -> Any:
    return math.nan if value is None else value


Figure = Annotated[float, BeforeValidator(_number)]
"""What may be no number: files have null for it, for JSON knows no NaN."""


@dataclass(frozen=True)
class StepReport:
    """One optimizer step. Times in seconds; counts are those of the step."""

    stage: str
    stage_index: int
    step: int
    steps: int
    loss: Figure
    normaliser: float
    gradient_norm: Figure
    factor: float
    samples: int
    tokens: int
    tiles: int
    trained: int
    seconds: float
    wait: float
    token_fill: float
    tile_fill: float
    pairs: int = 0
    """Pairs of tokens that see each other."""
    skipped: bool = False
    """Loss or gradient was no number: nothing was learned."""
    validation_loss: float | None = None
    """On the records held out, where it was measured behind this step."""
    score: float | None = None
    """Share of right answers, 0 to 1, where questions were asked behind this step."""
    figures: dict[str, float] = field(default_factory=dict)
    """What the objective says of its batches, as rewards of pairs."""


def stage_figures(reports: Iterable[StepReport]) -> dict[str, dict[str, float]]:
    """Per stage: the sums of its steps, its last step, loss and token fill, and tokens per second."""
    figures: dict[str, dict[str, float]] = {}
    for report in reports:
        stage = figures.setdefault(report.stage, {})
        for name in ("seconds", "wait", "tokens", "trained", "samples"):
            stage[name] = stage.get(name, 0.0) + getattr(report, name)
        stage |= {"steps": report.step + 1, "token_fill": report.token_fill}
        if not report.skipped or "loss" not in stage:
            stage["loss"] = report.loss
        if report.validation_loss is not None:
            stage["validation_loss"] = report.validation_loss
        stage["tokens_per_second"] = stage["tokens"] / stage["seconds"]
    return figures
