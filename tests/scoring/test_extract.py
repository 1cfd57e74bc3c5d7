"""Final answers out of free text."""

from __future__ import annotations

import pytest

from tessera.scoring.extract import final_answer, last_number, normalise_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Red. ", "red"),
        ("The  Red circle", "red circle"),
        ("a", "a"),
        ("theatre", "theatre"),
        ("", ""),
        ("12.5", "12.5"),
        ("Yes!\n", "yes"),
        ("'top left'", "top left"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise_answer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red 2, blue 1, 2 + 1 = 3", "3"),
        ("no digits", None),
        ("-4.5 degrees", "-4.5"),
        ("1 or 2e3", "2e3"),
        ("about .5", ".5"),
        ("it is 3.", "3"),
        ("+7", "7"),
        ("7.", "7"),
        ("route66", None),
        ("3, 4", "4"),
        ("9 - 12 = -3", "-3"),
    ],
)
def test_last_number(text: str, expected: str | None) -> None:
    assert last_number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 1 = 3", "3"),
        ("2 + 1 = 3, 3 + 1 = 4.", "4"),
        ("9 + 11 = 20, yes", "yes"),
        ("Top left.", "top left"),
        ("red, blue", "red, blue"),
        ("2 + 1 =", ""),
    ],
)
def test_final_answer(text: str, expected: str) -> None:
    assert final_answer(text) == expected
