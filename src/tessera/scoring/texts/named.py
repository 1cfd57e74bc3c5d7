"""The scorers and aggregates of this room by the names that declarations use."""

from collections.abc import Callable, Mapping

from tessera.scoring.aggregates import consecutive, grouped, mean, total
from tessera.scoring.texts.calls import tool_call
from tessera.scoring.texts.edits import anls
from tessera.scoring.texts.matching import contains, crpe, exact, exact_match
from tessera.scoring.texts.numbers import relaxed
from tessera.scoring.texts.tasks.mirb import mirb, mirb_means
from tessera.scoring.texts.tasks.ocr import ocrbench, ocrbench_points
from tessera.scoring.texts.tasks.remote_sensing import rsvqa, rsvqa_means
from tessera.scoring.texts.tasks.solutions import gsm8k, math_answer
from tessera.scoring.texts.tasks.spatial import mra, vsi
from tessera.scoring.texts.tasks.vcr import VcrMeans, vcr
from tessera.scoring.texts.vqa import vqa
from tessera.scoring.verdict import Aggregate, Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "vqa": vqa,
    "anls": anls,
    "relaxed": relaxed,
    "exact": exact,
    "exact_match": exact_match,
    "contains": contains,
    "ocrbench": ocrbench,
    "vcr": vcr,
    "mirb": mirb,
    "rsvqa": rsvqa,
    "mra": mra,
    "vsi": vsi,
    "crpe": crpe,
    "gsm8k": gsm8k,
    "math": math_answer,
    "tool_call": tool_call,
}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {
    "mean": mean,
    "sum": total,
    "grouped": grouped,
    "consecutive": consecutive,
    "ocrbench": ocrbench_points,
    "mirb": mirb_means,
    "vcr": VcrMeans,
    "rsvqa": rsvqa_means,
}
