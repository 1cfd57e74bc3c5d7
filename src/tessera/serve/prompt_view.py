"""A prompt as the model sees it, without its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class PromptView:
    """ids int32 [T], positions float32 [T], tiles of every picture and frame, and the prompt as text."""

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.float32]
    tiles: tuple[int, ...]
    text: str
