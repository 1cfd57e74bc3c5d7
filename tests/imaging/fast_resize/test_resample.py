"""Our matrix products against Pillow's loop, in every value."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.imaging.fast_resize import resample
from tessera.imaging.fast_resize.bicubic import make_axis
from tessera.imaging.fast_resize.passes import resample_rows
from tessera.imaging.fast_resize.resample import PassOrder, pillow_pass_order, resize

SIDES = st.integers(1, 400)


def picture(kind: str, width: int, height: int, seed: int = 0) -> PIL.Image.Image:
    rng = np.random.default_rng(seed)
    if kind == "noise":
        values = rng.integers(0, 256, (height, width, 3))
    elif kind == "two levels":  # hard edges: overshoot, cut at 0 and 255, many exact halves
        values = rng.integers(0, 2, (height, width, 3)) * 255
    else:
        ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
        values = ramp.round()
    return PIL.Image.fromarray(values.astype(np.uint8))


@given(st.sampled_from(["noise", "two levels", "ramp"]), SIDES, SIDES, SIDES, SIDES, st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_products_equal_pillow(
    kind: str, width: int, height: int, new_width: int, new_height: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "SMALL", 0)
        image = picture(kind, width, height, seed)
        wanted = np.asarray(image.resize((new_width, new_height), PIL.Image.Resampling.BICUBIC))
        assert np.array_equal(resize(image, [(new_width, new_height)], exact=True)[0], wanted)


LONG = st.integers(1, 4500)
SHORT = st.integers(1, 60)


@given(
    st.sampled_from(["noise", "two levels", "ramp"]),
    st.tuples(LONG, SHORT),
    st.tuples(LONG, SHORT),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_extreme_shapes_equal_pillow(
    kind: str, source: tuple[int, int], target: tuple[int, int], upright: bool, turned: bool
) -> None:
    """Long and thin, from and to, both ways: weights of thousands of taps, bands of few rows."""
    source = source[::-1] if upright else source
    target = target[::-1] if upright != turned else target
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "SMALL", 0)
        image = picture(kind, *source)
        wanted = np.asarray(image.resize(target, PIL.Image.Resampling.BICUBIC))
        assert np.array_equal(resize(image, [target], exact=True)[0], wanted)


@pytest.mark.parametrize("source", [(3001, 4099), (4500, 1703), (1277, 719)])
def test_large_pictures_at_several_sizes_equal_pillow(source: tuple[int, int]) -> None:
    """Widths made together, in the order asked for; among them the picture's own size, width and height."""
    image = picture("noise", *source)
    sizes = [(1344, 896), (448, 448), source, (source[0], 300), (300, source[1]), (448, 896)]
    for size, pixels in zip(sizes, resize(image, sizes, exact=True), strict=True):
        assert np.array_equal(pixels, np.asarray(image.resize(size, PIL.Image.Resampling.BICUBIC))), size


def test_the_doubt_bounds_the_error_and_is_needed() -> None:
    """Float32 sums stay within the bound of the whole-number ones; without mending, some levels are wrong."""
    rng = np.random.default_rng(0)
    lines = rng.integers(0, 256, (200, 3, 1500), dtype=np.uint8)
    axis = make_axis(1500, 700)
    exact = np.einsum("rok,ok->ro", lines.reshape(600, -1)[:, axis.inputs(np.arange(700))], axis.weights)
    floats = np.einsum(
        "rok,ok->ro", lines.reshape(600, -1)[:, axis.inputs(np.arange(700))].astype(np.float32), axis.shares
    )
    assert np.abs(floats - exact / 2**22).max() < axis.doubt
    mended, left = (resample_rows(lines, [700], exact=choice)[0] for choice in (True, False))
    assert mended is not None and left is not None
    wanted = np.clip((exact + 2**21) >> 22, 0, 255)
    assert np.array_equal(mended.reshape(600, -1), wanted)
    assert 0 < (left.reshape(600, -1) != wanted).sum() < 100


def test_the_passes_go_in_pillows_order() -> None:
    """Pillow 13 takes columns first from just past twice the loss on; older ones never do."""
    balanced = pillow_pass_order() is PassOrder.BALANCED
    for height, loses_more in ((700, False), (701, True)):
        image = picture("two levels", 600, height)
        between = (600, 200) if loses_more and balanced else (350, height)
        wanted = image.resize(between, PIL.Image.Resampling.BICUBIC)
        wanted = wanted.resize((350, 200), PIL.Image.Resampling.BICUBIC)
        assert np.array_equal(resize(image, [(350, 200)], exact=True)[0], np.asarray(wanted))


def test_a_picture_of_undecidable_sums_goes_to_pillow() -> None:
    """Odd and even stripes halved: nearly every sum is an exact half, and the answer is still Pillow's."""
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[::2] = 1
    image = PIL.Image.fromarray(stripes)
    assert resample._with_products(image, [(512, 512)], exact=True) == [None]
    wanted = np.asarray(image.resize((512, 512), PIL.Image.Resampling.BICUBIC))
    assert np.array_equal(resize(image, [(512, 512)], exact=True)[0], wanted)


def test_an_unknown_pillow_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "pillow_pass_order", lambda: PassOrder.UNKNOWN)
    monkeypatch.setattr(resample, "_with_products", lambda *_: pytest.fail("must not be used"))
    image = picture("noise", 900, 700)
    wanted = np.asarray(image.resize((300, 200), PIL.Image.Resampling.BICUBIC))
    assert np.array_equal(resize(image, [(300, 200)], exact=True)[0], wanted)


@pytest.mark.parametrize("size", [(300, 200), (900, 200), (1500, 1100), (80, 60), (450, 350)])
def test_fast_stays_within_one_level(size: tuple[int, int]) -> None:
    image = picture("noise", 900, 700)
    wanted = np.asarray(image.resize(size, PIL.Image.Resampling.BICUBIC)).astype(np.int16)
    difference = np.abs(resize(image, [size], exact=False)[0] - wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
