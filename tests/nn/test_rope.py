"""Rotary tables: each scaling by its own words. Numbers against transformers stand in tests/parity."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tessera.nn.rope import rotary_tables, rotate
from tessera.nn.rope_scaling import RopeScaling, ScalingKind

C, THETA, TRAINED = 16, 1e4, 32
POSITIONS = torch.tensor([0.0, 1.0, 2.5, 31.0, 40.0])


def scaled(kind: ScalingKind, trained: int, factor: float, **fields: Any) -> RopeScaling:
    return RopeScaling(kind=kind, original_max_position_embeddings=trained, factor=factor, **fields)


LONGROPE = scaled("longrope", TRAINED, 4.0, short_factor=(1.0,) * 8, long_factor=(2.0,) * 8)


def frequencies(scaling: RopeScaling, reach: float | None = None) -> torch.Tensor:
    """Radians a position, [C/2], read off the tables at a place where no channel has turned far."""
    at = 1 / 64
    reaches = None if reach is None else torch.tensor([reach])
    cosine, sine = rotary_tables(torch.tensor([at]), C, THETA, scaling, reaches)
    return torch.atan2(sine[0, 0, C // 2 :], cosine[0, 0, C // 2 :]) / at


PLAIN = THETA ** (-torch.arange(0, C, 2) / C)


def test_linear_is_a_slower_walk() -> None:
    slow = rotary_tables(POSITIONS, C, THETA, scaled("linear", TRAINED, 4.0))
    torch.testing.assert_close(slow, rotary_tables(POSITIONS / 4, C, THETA))


@pytest.mark.parametrize("scaling", [scaled("dynamic", TRAINED, 2.5), LONGROPE])
def test_reach_decides_token_by_token(scaling: RopeScaling) -> None:
    """Tokens of a long sequence beside tokens of a short one, in one stream."""
    reach = torch.tensor([32.0, 33.0, 3.5, 80.0, 41.0])
    mixed = rotary_tables(POSITIONS, C, THETA, scaling, reach)
    for index in range(len(POSITIONS)):
        one = slice(index, index + 1)
        alone = rotary_tables(POSITIONS[one], C, THETA, scaling, reach[one])
        torch.testing.assert_close([table[one] for table in mixed], list(alone), atol=0, rtol=0)


def test_dynamic_within_the_trained_length_is_plain_to_the_bit() -> None:
    scaling = scaled("dynamic", TRAINED, 2.7)
    plain = rotary_tables(POSITIONS, C, THETA)
    for reach in (None, torch.full((5,), 32.0)):
        got = rotary_tables(POSITIONS, C, THETA, scaling, reach)
        assert all(torch.equal(a, b) for a, b in zip(got, plain, strict=True))


def test_dynamic_beyond_raises_the_base() -> None:
    """At twice the trained length, factor 3: growth 3 * 2 - 2 = 4, base times 4^(16 / 14)."""
    base = THETA * 4 ** (16 / 14)
    torch.testing.assert_close(
        frequencies(scaled("dynamic", TRAINED, 3.0), 2.0 * TRAINED), base ** (-torch.arange(0, C, 2) / C)
    )


def test_longrope_divides_and_swells() -> None:
    torch.testing.assert_close(frequencies(LONGROPE), PLAIN)
    torch.testing.assert_close(frequencies(LONGROPE, TRAINED), PLAIN)
    torch.testing.assert_close(frequencies(LONGROPE, TRAINED + 1), PLAIN / 2)
    assert LONGROPE.amplitude == pytest.approx(math.sqrt(1 + math.log(4) / math.log(32)))
    cosine, _ = rotary_tables(torch.zeros(1), C, THETA, LONGROPE)
    torch.testing.assert_close(cosine, torch.full((1, 1, C), LONGROPE.amplitude))


def test_amplitudes() -> None:
    assert scaled("yarn", TRAINED, 4.0).amplitude == pytest.approx(0.1 * math.log(4) + 1)
    assert scaled("yarn", TRAINED, 4.0, attention_factor=1.5).amplitude == 1.5
    for kind in ("linear", "dynamic", "llama3"):
        assert scaled(kind, TRAINED, 4.0).amplitude == 1.0
    assert scaled("yarn", TRAINED, 1.0).amplitude == 1.0


@pytest.mark.parametrize("kind", ["llama3", "yarn"])
@given(factor=st.floats(1, 40), trained=st.integers(256, 8192))
def test_fast_channels_stay_and_slow_ones_slow_down(kind: ScalingKind, factor: float, trained: int) -> None:
    got = frequencies(scaled(kind, trained, factor))
    ratio = got / PLAIN
    assert bool((ratio <= 1.001).all()) and bool((ratio >= 0.999 / factor).all())
    assert bool((ratio.diff() <= 1e-3).all()), "faster channels are slowed no more than slower ones"
    turns = trained * PLAIN / (2 * math.pi)
    torch.testing.assert_close(got[turns > 64], PLAIN[turns > 64], atol=1e-4, rtol=1e-3)
    slow = turns < 0.2
    torch.testing.assert_close(got[slow], PLAIN[slow] / factor, atol=1e-4, rtol=1e-2)


def test_rotation_by_complex_numbers() -> None:
    positions, theta = torch.tensor([0.0, 1.0, 2.5, 77.0]), 100.0
    x = torch.randn(4, 2, 6)
    turn = torch.polar(torch.ones(4, 3), positions[:, None] * theta ** (-torch.arange(3) / 3))
    expected = torch.complex(x[..., :3], x[..., 3:]) * turn[:, None]
    got = rotate(x, *rotary_tables(positions, 6, theta))
    torch.testing.assert_close(got, torch.cat((expected.real, expected.imag), dim=-1))
