"""Names by which declarations call what stands here."""

from collections.abc import Callable, Mapping

from tessera.scoring.choices.figures import circular_figures, mmmu_figures
from tessera.scoring.choices.scorers import (
    choice_scorer,
    letter_or_text_scorer,
    mantis_scorer,
    mmmu_scorer,
    mvbench_scorer,
)
from tessera.scoring.verdict import Aggregate, Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "choice": choice_scorer,
    "mmmu": mmmu_scorer,
    "mvbench": mvbench_scorer,
    "letter_or_text": letter_or_text_scorer,
    "mantis": mantis_scorer,
}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {
    "circular": circular_figures,
    "mmmu": mmmu_figures,
}
