"""All robustness figures of a run, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tessera.evaluation.comparing.intervals import Intervals, interval_of
from tessera.evaluation.comparing.resampling import Unit
from tessera.evaluation.robustness.option_order import MARK, OptionOrder, base_of
from tessera.evaluation.robustness.replies import ReplyFaults
from tessera.evaluation.robustness.yes_bias import YesBias
from tessera.scoring.ratio import RatioAggregate
from tessera.scoring.verdict import Graded


def robustness_of(
    graded: Sequence[Graded], unit: Unit | None = None, cut_off: frozenset[str] = frozenset(), seed: int = 0
) -> dict[str, Intervals]:
    """Replies, yes and no, order of options: groups of figures in percent, as far as they apply.

    cut_off: indexes of replies that reached the most tokens.
    """
    kinds: Mapping[str, RatioAggregate] = {
        "replies": ReplyFaults(cut_off),
        "yes and no": YesBias(),
        "order of options": OptionOrder(unit),
    }
    found = {name: interval_of(graded, kind, unit or base_of, seed) for name, kind in kinds.items()}
    return {name: intervals for name, intervals in found.items() if intervals}


def unrotated(graded: Sequence[Graded]) -> list[Graded]:
    """The questions as the benchmark has them, without those that were asked again with rotated options."""
    return [one for one in graded if MARK not in one.index]
