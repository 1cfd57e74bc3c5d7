"""Token, sample and square averaging as per-token loss weights (InternVL 2.5, section 4.2;
docs/facts/training.md)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Averaging = Literal["token", "sample", "square"]
_POWER: dict[Averaging, float] = {"token": 0.0, "sample": -1.0, "square": -0.5}


def sample_weight(trained: int, averaging: Averaging) -> float:
    """The weight of each supervised token in a sample that has `trained` of them.

    token 1, sample 1/n, square 1/sqrt(n); a sample without supervised tokens weighs nothing.
    """
    return float(trained ** _POWER[averaging]) if trained else 0.0


def weigh_tokens(mask: NDArray[np.float32], averaging: Averaging) -> NDArray[np.float32]:
    """float32 [T] with 1.0 on the supervised tokens of one sample -> float32 [T] loss weights."""
    trained = int(np.count_nonzero(mask))
    return (mask * np.float32(sample_weight(trained, averaging))).astype(np.float32)
