"""Small clips drawn for tests: frame n is grey 20 + 10 n, with a black left upper quarter."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image


def frame(number: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    values = np.full((size[1], size[0], 3), 20 + 10 * number % 230, np.uint8)
    values[: size[1] // 2, : size[0] // 2] = 0
    return av.VideoFrame.from_ndarray(values, "rgb24")


def number_of(picture: PIL.Image.Image) -> int:
    """The number of a frame that was not turned."""
    return round((picture.getpixel((picture.width - 4, picture.height - 4))[0] - 20) / 10)  # type: ignore[index]


def black_corner(picture: PIL.Image.Image) -> str:
    """Where the black quarter is: "left top" in frames as they are stored."""
    values = np.asarray(picture.convert("L"))
    height, width = values.shape
    low, right = np.unravel_index(values.reshape(2, height // 2, 2, width // 2).mean((1, 3)).argmin(), (2, 2))
    return f"{('left', 'right')[right]} {('top', 'bottom')[low]}"


def write_clip(
    path: Path,
    codec: str = "libx264",
    count: int = 10,
    times: Sequence[float] | None = None,
    turn: tuple[float, bool, bool] | None = None,
    noisy: bool = False,
    format: str | None = None,
    rate: int = 10,
    **options: str,
) -> Path:
    """A clip of `rate` frames a second, or with frames at `times` in seconds."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", format=format, options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if turn is not None:
            stream.set_display_rotation(*turn)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count if times is None else len(times)):
            image = frame(number)
            if noisy:
                values = noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)
                image = av.VideoFrame.from_ndarray(values, "rgb24")
            if times is not None:
                image.pts, image.time_base = round(times[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path
