"""An RGB picture at another size with Pillow's bicubic pixels: to the last bit, or within one grey level.

Pillow resamples in two passes with a rounding between them, so the order of the passes shows, by up to twenty
grey levels at hard edges. Up to Pillow 12 rows come first; Pillow 13 takes columns first where the height
loses more than twice the pixels that the width loses. We give what the installed Pillow gives; which order
that is, it is asked once, on small pictures.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

import numpy as np
import PIL.Image

from tessera.imaging.fast_resize.bicubic import Pixels
from tessera.imaging.fast_resize.passes import resample_columns, resample_rows

Size = tuple[int, int]

BICUBIC = PIL.Image.Resampling.BICUBIC
SMALL = 2**18  # pixels of the larger picture below which Pillow's loop is the fastest
LARGE = 2**26  # pixels of a picture above which a planar copy of it would take too much memory
LONGEST = 2**16  # pixels of a side above which our tables would: they take more than Pillow's
WEIGHT = 8  # bytes of a weight in Pillow's tables, four of which belong to a pixel of the longer side


class PassOrder(Enum):
    """How the installed Pillow orders its two passes."""

    ROWS_FIRST = "rows first, always"
    BALANCED = "columns first where the height loses more than twice what the width loses"
    UNKNOWN = "neither of these"


def resize(image: PIL.Image.Image, sizes: Sequence[Size], exact: bool) -> list[Pixels]:
    """The RGB picture at every (width, height) in pixels: uint8 [height, width, 3] each.

    `exact` gives `image.resize(size, BICUBIC)` in every value; otherwise values may be off by one grey level.
    Most come as views of planar memory: every line of a picture is a line of red, one of green, one of blue.
    """
    ours = [size for size in sizes if _worth_products(image.size, size)]
    made = dict(zip(ours, _with_products(image, ours, exact), strict=True)) if ours else {}
    found = [made.get(size) for size in sizes]
    return [_with_pillow(image, s) if p is None else p for s, p in zip(sizes, found, strict=True)]


def working_bytes(source: Size, target: Size) -> int:
    """Memory of a resize: tables of weights, what lies between the passes, the result, all by Pillow."""
    tables = 4 * WEIGHT * sum(max(pair) for pair in zip(source, target, strict=True))
    columns_first = _columns_first(source, target)
    between = source[0] * target[1] if columns_first else target[0] * source[1]
    return tables + 4 * (between + target[0] * target[1])


def _worth_products(source: Size, target: Size) -> bool:
    sizes = source[0] * source[1], target[0] * target[1]
    if max(sizes) < SMALL or max(sizes) > LARGE or max(*source, *target) > LONGEST:
        return False
    return source != target and pillow_pass_order() is not PassOrder.UNKNOWN


def _planar_lines(image: PIL.Image.Image) -> Pixels:
    """uint8 [H, 3, W]; Pillow's "RGB;L" is its picture line by line, a line's colours one after the other."""
    return np.frombuffer(image.tobytes("raw", "RGB;L"), np.uint8).reshape(image.height, 3, image.width)


@lru_cache(maxsize=1)
def pillow_pass_order() -> PassOrder:
    """Asks the installed Pillow, with pictures on which the two orders differ."""
    # Both lose more of their height than of their width, only the first more than twice as much.
    steep = _columns_come_first((30, 120), (20, 60))
    mild = _columns_come_first((60, 80), (30, 35))
    if mild is not False or steep is None:
        return PassOrder.UNKNOWN
    return PassOrder.BALANCED if steep else PassOrder.ROWS_FIRST


def _columns_come_first(source: Size, target: Size) -> bool | None:
    """Whether Pillow takes columns first for these sizes; None when it shows neither order."""
    noise = np.random.default_rng(0).integers(0, 2, (source[1], source[0], 3), dtype=np.uint8) * 255
    image = PIL.Image.fromarray(noise)
    whole = _with_pillow(image, target)
    rows_first = image.resize((target[0], source[1]), BICUBIC).resize(target, BICUBIC)
    columns_first = image.resize((source[0], target[1]), BICUBIC).resize(target, BICUBIC)
    matches = [np.array_equal(whole, np.asarray(each)) for each in (rows_first, columns_first)]
    return matches[1] if sum(matches) == 1 else None


def _with_pillow(image: PIL.Image.Image, size: Size) -> Pixels:
    return np.asarray(image if size == image.size else image.resize(size, BICUBIC))


def _columns_first(source: Size, target: Size) -> bool:
    lost_width, lost_height = source[0] - target[0], source[1] - target[1]
    return pillow_pass_order() is PassOrder.BALANCED and lost_height > max(0, 2 * lost_width)


def _with_products(image: PIL.Image.Image, sizes: Sequence[Size], exact: bool) -> list[Pixels | None]:
    """Both passes as matrix products; None for a size where too many sums stay undecided."""
    lines = _planar_lines(image)
    rows_first = [size for size in sizes if not _columns_first(image.size, size)]
    # The widths that come first are made together: the picture is read and turned into floats once.
    wide = dict(zip(rows_first, _rows(lines, [width for width, _ in rows_first], exact), strict=True))
    results = []
    for size in sizes:
        if size in wide:
            result = _columns(wide[size], size[1], exact)
        else:
            high = _columns(lines, size[1], exact)
            result = None if high is None else _rows(high, [size[0]], exact)[0]
        results.append(None if result is None else result.swapaxes(1, 2))
    return results


def _rows(lines: Pixels, widths: Sequence[int], exact: bool) -> list[Pixels | None]:
    """The pass over rows; a picture that is as wide already stays as it is."""
    changed = [width for width in widths if width != lines.shape[2]]
    made = iter(resample_rows(lines, changed, exact))
    return [lines if width == lines.shape[2] else next(made) for width in widths]


def _columns(lines: Pixels | None, height: int, exact: bool) -> Pixels | None:
    return lines if lines is None or height == len(lines) else resample_columns(lines, height, exact)
