"""Names by which declarations call what stands here."""

from collections.abc import Callable, Mapping

from tessera.scoring.maths.figures import mathvista_figures
from tessera.scoring.maths.letters_or_values import mathverse_scorer, mathvision_scorer
from tessera.scoring.maths.mathvista import mathvista_scorer
from tessera.scoring.maths.olympiad import olympiadbench_scorer
from tessera.scoring.verdict import Aggregate, Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "mathvista": mathvista_scorer,
    "mathvision": mathvision_scorer,
    "mathverse": mathverse_scorer,
    "olympiadbench": olympiadbench_scorer,
}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {"mathvista": mathvista_figures}
