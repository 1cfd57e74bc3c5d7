"""A prompt as the model sees it, without its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class MediumView:
    """A picture, or a clip: tiles of each of its frames, their tokens, and (columns, rows) of a picture."""

    tiles: tuple[int, ...]
    tokens: int
    grid: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class PromptView:
    """ids int32 [T], positions float32 [T], its pictures and clips in order, and the prompt as text."""

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.float32]
    media: tuple[MediumView, ...]
    text: str
