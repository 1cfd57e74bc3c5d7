"""Names by which declarations call what stands here."""

from collections.abc import Callable, Mapping

from tessera.scoring.grounding.figures import box_figures, screen_figures
from tessera.scoring.grounding.scorers import click_scorer, refcoco_scorer, rsvg_scorer
from tessera.scoring.verdict import Aggregate, Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "refcoco": refcoco_scorer,
    "rsvg": rsvg_scorer,
    "screenspot": click_scorer,
}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {
    "boxes": box_figures,
    "screenspot": screen_figures,
}
