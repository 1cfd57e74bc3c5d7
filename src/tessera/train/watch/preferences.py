"""Signs that training on pairs goes wrong: what the pairs of the last steps say, in words."""

from collections.abc import Sequence
from statistics import fmean

from tessera.train.watch.telemetry import StepReport

WINDOW = 20
"""Steps that are judged together; fewer say nothing yet."""
FAR = 0.5
"""Nats a token that answers may lose on the mean: exp(-0.5) of their probability for every token."""
PULL = 0.7
"""Correlation of margin and length from which length is what is learned."""
LOST = -1.0
"""Reward of chosen answers, on the mean, below which they are being unlearned."""


def preference_warnings(reports: Sequence[StepReport]) -> dict[str, str]:
    """Kind of warning to what it says of the last WINDOW steps; nothing for stages of other objectives."""
    last = [report.figures for report in reports[-WINDOW:] if report.figures and not report.skipped]
    if len(last) < WINDOW or "margin" not in last[0]:
        return {}
    mean = {name: fmean(figures[name] for figures in last) for name in last[0]}
    found = {}
    if mean["kl"] > FAR:
        found["collapse"] = (
            f"answers have lost {mean['kl']:.2f} nats a token beside the reference: the model collapses; "
            "lower the rate, or raise beta or generation"
        )
    if mean["reward_chosen"] < LOST and mean["margin"] > 0:
        found["unlearned"] = (
            f"chosen answers became less probable (reward {mean['reward_chosen']:.2f}), only less so than "
            "rejected ones: raise generation or quality, or lower the rate"
        )
    if mean["length_pull"] > PULL:
        found["length"] = (
            f"margins follow length (correlation {mean['length_pull']:.2f}): longer answers are learned; "
            "balance the lengths of the pairs, or set length_normalised"
        )
    return found
