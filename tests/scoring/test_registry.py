"""Names of scorers and aggregates: one meaning each, and errors that help."""

from __future__ import annotations

import pytest

from tessera.scoring.registry import AGGREGATES, ROOMS, SCORERS, aggregate, scorer


def test_no_name_stands_for_two() -> None:
    assert sum(len(room.SCORERS) for room in ROOMS) == len(SCORERS)
    assert sum(len(room.AGGREGATES) for room in ROOMS) == len(AGGREGATES)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("anlss", {}, "scorer 'anlss' is unknown; did you mean anls"),
        ("zzzz", {}, "scorer 'zzzz' is unknown; choose from anls"),
        ("anls", {"treshold": 0.5}, "scorer anls: 'treshold' is no setting of it; it has"),
        ("choice", {"rules": "nobody"}, "nobody"),
    ],
)
def test_unknown_names_and_settings(name: str, settings: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        scorer(name, settings)


def test_every_name_makes_something_or_says_what_it_needs() -> None:
    for names, make in ((SCORERS, scorer), (AGGREGATES, aggregate)):
        for name in names:
            try:
                assert callable(make(name, {}))
            except ValueError as error:
                assert name in str(error), error
