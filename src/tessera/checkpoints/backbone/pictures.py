"""Pictures of any kind to normalised pixels whose sides are whole patches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import PIL.Image
import torch
from torch.nn import functional as F

from tessera.imaging.decode import decode_image
from tessera.imaging.fast_resize.resample import resize
from tessera.models.vlm import normalise
from tessera.runtime.shown import shown

Fit = Literal["round", "pad"]
"""What happens to sides that are no multiple of the patch: resized to the nearest multiple, or filled up with
the mean colour below and to the right."""
Size = int | tuple[int, int] | Literal["own"] | None
"""Side of a square, (height, width), a picture's own size, or None for the square of the training."""


@dataclass(frozen=True)
class Pixels:
    """How pictures become pixels for one encoder: size, fit, and the numbers of its training."""

    patch: int
    native: int
    """Side of the square that None means."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: Size = None
    fit: Fit | None = None

    def __post_init__(self) -> None:
        """ValueError for a size or a fit that can't be."""
        if self.fit is not None and self.fit not in get_args(Fit):
            raise ValueError(f"fit = {shown(self.fit)}: choose 'round', 'pad' or None")
        sides = self.size if isinstance(self.size, tuple) else (self.size,)
        numbers = [side for side in sides if isinstance(side, int) and not isinstance(side, bool)]
        if self.size not in (None, "own") and (len(numbers) != len(sides) or len(sides) > 2):
            raise ValueError(f"size = {shown(self.size)}: give a side, (height, width), 'own' or None")
        if numbers and min(numbers) < 1:
            raise ValueError(f"size = {shown(self.size)}: sides are at least 1 pixel")

    def of(self, given: object) -> Iterator[torch.Tensor]:
        """One tensor a picture, uint8 [H, W, 3] or normalised float [3, H, W], at the wanted size."""
        if isinstance(given, torch.Tensor) and given.is_floating_point():
            yield from self._of_pixels(given)
        else:
            for picture in as_pictures(given):
                yield torch.from_numpy(np.array(self._resized(picture)))

    def stack(self, ready: Sequence[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
        """Tensors of `of` that have one shape to pixels [N, 3, H, W] on the device and in the dtype of
        `like`, filled up to whole patches."""
        pixels = torch.stack(list(ready)).to(like.device)
        if pixels.dtype == torch.uint8:
            pixels = normalise(pixels, self.mean, self.std, like.dtype)
        height, width = pixels.shape[-2:]
        return F.pad(pixels.to(like.dtype), (0, -width % self.patch, 0, -height % self.patch))

    def _of_pixels(self, given: torch.Tensor) -> Iterator[torch.Tensor]:
        pixels = given[None] if given.dim() == 3 else given
        if pixels.dim() != 4 or pixels.shape[1] != 3:
            raise ValueError(
                f"pixel_values {given.dtype} {tuple(given.shape)}: normalised pixels are [N, 3, H, W], "
                "pictures uint8 [N, H, W, 3]"
            )
        held = (int(pixels.shape[2]), int(pixels.shape[3]))
        wanted = self._target(held if self.size is None else self._asked(held))
        if wanted != held:
            whole = pixels.float()
            pixels = F.interpolate(whole, wanted, mode="bicubic", align_corners=False, antialias=True)
        yield from pixels

    def _resized(self, picture: PIL.Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        height, width = self._target(self._asked((picture.height, picture.width)))
        (found,) = resize(picture, [(width, height)], exact=True)
        return found

    def _asked(self, held: tuple[int, int]) -> tuple[int, int]:
        if isinstance(self.size, tuple):
            return self.size
        if self.size == "own":
            return held
        side = self.native if self.size is None else self.size
        return (side, side)

    def _target(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that it is resized to; filling up comes later."""
        if self.fit == "round":
            height, width = (max(1, round(side / self.patch)) * self.patch for side in size)
            return height, width
        if self.fit is None and any(side % self.patch for side in size):
            raise ValueError(
                f"size {size[0]} x {size[1]} (height x width) is no multiple of the patch, {self.patch}: "
                "give fit='round' to resize to the nearest, or fit='pad' to fill up below and to the right"
            )
        return size


def as_pictures(given: object) -> Iterator[PIL.Image.Image]:
    """RGB pictures of a path, bytes, a PIL picture, uint8 [H, W, 3] or [N, H, W, 3], or of several of these.

    ValueError naming what can't be read, by its place where there are several.
    """
    array = given.numpy(force=True) if isinstance(given, torch.Tensor) else given
    if isinstance(array, np.ndarray):
        yield from _of_array(array)
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes | bytearray | memoryview):
        for number, one in enumerate(given):
            try:
                yield from as_pictures(one)
            except ValueError as error:
                raise ValueError(f"picture {number}: {error}") from error
    else:
        yield decode_image(given)  # type: ignore[arg-type]


def _of_array(array: np.ndarray[Any, Any]) -> Iterator[PIL.Image.Image]:
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3:
        raise ValueError(
            f"an array {array.dtype} {array.shape} is no picture: give uint8 RGB [H, W, 3] or [N, H, W, 3], "
            "or normalised pixels as a float tensor [N, 3, H, W]"
        )
    yield from map(PIL.Image.fromarray, array[None] if array.ndim == 3 else array)
