"""The losses of preference training, as functions of log-probabilities.

Of a pair, `chosen` and `rejected` are log pi(y|x) - log pi_0(y|x): how much more probable an answer has
become than the reference has it; `beta` times that is its reward. Sources: DPO arXiv 2305.18290, hinge
2305.10425, IPO 2310.12036, BCO 2404.04656, SimPO 2405.14734, MPO 2411.10442 (docs/facts/preferences.md).
"""

from typing import Literal

import torch
import torch.nn.functional as F

PreferenceKind = Literal["sigmoid", "hinge", "ipo"]


def preference_loss(
    kind: PreferenceKind,
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    beta: float,
    label_smoothing: float = 0.0,
    margin: float = 0.0,
) -> torch.Tensor:
    """How badly the chosen answers are preferred, [N] of ratios [N].

    sigmoid: of the difference of rewards less `margin`; with label smoothing, in so many of the cases the
    rejected one counts as chosen. hinge: below a difference of 1. ipo: the square of what the ratios'
    difference lacks to 1 / (2 beta).
    """
    ahead = beta * (chosen - rejected) - margin
    if kind == "ipo":
        return ((chosen - rejected) - margin / beta - 1 / (2 * beta)) ** 2
    if kind == "hinge":
        return torch.relu(1 - ahead)
    return -F.logsigmoid(ahead) * (1 - label_smoothing) - F.logsigmoid(-ahead) * label_smoothing


def quality_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, beta: float, shift: torch.Tensor | float
) -> torch.Tensor:
    """Each answer judged alone, [N]: the reward of a chosen one above `shift`, of a rejected one below.

    `shift` is the running mean of all rewards (BCO's delta).
    """
    return -F.logsigmoid(beta * chosen - shift) - F.logsigmoid(shift - beta * rejected)
