"""Names by which declarations call what stands here."""

from collections.abc import Callable, Mapping

from tessera.scoring.verdict import Aggregate, Scorer
from tessera.scoring.yes_no.figures import (
    amber_figures,
    hallusion_figures,
    mme_figures,
    pope_figures,
    yes_no_figures,
)
from tessera.scoring.yes_no.scorers import mme_scorer, pope_scorer, yes_no_scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "yes_no": yes_no_scorer,
    "mme": mme_scorer,
    "pope": pope_scorer,
}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {
    "yes_no": yes_no_figures,
    "mme": mme_figures,
    "pope": pope_figures,
    "hallusion": hallusion_figures,
    "amber": amber_figures,
}
