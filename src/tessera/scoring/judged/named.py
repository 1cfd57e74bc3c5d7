"""Names by which declarations call what stands here."""

from collections.abc import Callable, Mapping

from tessera.scoring.judged.figures import (
    llava_bench_figures,
    mmhal_figures,
    mmvet_figures,
    wildvision_figures,
)
from tessera.scoring.judged.scorers import judged_scorer
from tessera.scoring.verdict import Aggregate, Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {"judged": judged_scorer}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {
    "mmvet": mmvet_figures,
    "llava_bench": llava_bench_figures,
    "mmhal": mmhal_figures,
    "wildvision": wildvision_figures,
}
