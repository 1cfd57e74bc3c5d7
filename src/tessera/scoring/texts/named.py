"""The scorers and aggregates of this room by the names that declarations use."""

from collections.abc import Callable, Mapping

from tessera.scoring.aggregates import mean, total
from tessera.scoring.texts.edits import anls
from tessera.scoring.texts.matching import contains, exact, exact_match
from tessera.scoring.texts.numbers import relaxed
from tessera.scoring.texts.vqa import vqa
from tessera.scoring.verdict import Aggregate, Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "vqa": vqa,
    "anls": anls,
    "relaxed": relaxed,
    "exact": exact,
    "exact_match": exact_match,
    "contains": contains,
}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {"mean": mean, "sum": total}
