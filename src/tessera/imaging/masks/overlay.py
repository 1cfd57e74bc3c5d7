"""Masks laid over a picture, each in a colour of its own, with its outline."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import PIL.Image

COLORS = ((230, 25, 75), (60, 180, 75), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240))
SHARE = 0.5
"""Of the colour inside of a mask; its outline has nothing else."""


def overlay(picture: PIL.Image.Image, masks: Sequence[npt.NDArray[np.bool_]]) -> PIL.Image.Image:
    """The picture in RGB with masks bool [H, W] of its size on it. ValueError for a mask of another size."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32).copy()
    for number, mask in enumerate(masks):
        if mask.shape != pixels.shape[:2]:
            raise ValueError(f"masks[{number}]: {mask.shape} pixels, the picture has {pixels.shape[:2]}")
        color = np.array(COLORS[number % len(COLORS)], dtype=np.float32)
        pixels[mask] += SHARE * (color - pixels[mask])
        pixels[_outline(mask)] = color
    return PIL.Image.fromarray(pixels.round().astype(np.uint8))


def mask_picture(mask: npt.NDArray[np.bool_]) -> PIL.Image.Image:
    """A mask bool [H, W] as a grey picture: white inside, black outside."""
    return PIL.Image.fromarray(mask.astype(np.uint8) * 255)


def mask_box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what is masked, in pixels, right and bottom exclusive; None for nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels of a mask that touch one outside of it, or the picture's edge."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
