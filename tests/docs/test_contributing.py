"""CONTRIBUTING answers "where would I add …" with places that are there, or that it marks as coming."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ASKED = [
    "template",
    "model size",
    "metric",
    "data format",
    "resize",
    "attention kernel",
    "optimizer",
    "verb",
    "endpoint",
    "preference loss",
    "reward head",
    "audio encoder",
    "benchmark",
    "quantisation",
    "vision encoder",
    "connector",
    "rope scaling",
    "filter rule",
    "recipe stage",
]
ROW = re.compile(r"^\| (?P<what>[^|]+?) \| (?P<where>[^|]+) \| [^|]*\|$", re.MULTILINE)
PLACE = re.compile(r"`(?P<path>[\w/.<>]+)`(?P<coming> \(coming\))?")


@pytest.fixture(scope="module")
def answers(repo_root: Path) -> dict[str, str]:
    page = (repo_root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("## Where would I add …")[2]
    return {row["what"]: row["where"] for row in ROW.finditer(table)}


@pytest.mark.parametrize("question", ASKED)
def test_every_question_has_an_answer(question: str, answers: dict[str, str]) -> None:
    assert any(what.startswith(question) and PLACE.search(where) for what, where in answers.items())


def test_the_places_are_there(repo_root: Path, answers: dict[str, str]) -> None:
    """`<family>` stands for any name. Once a place is there, its mark "coming" has to go."""
    wrong = []
    for what, where in answers.items():
        for place in PLACE.finditer(where):
            pattern = re.sub(r"<\w+>", "*", place["path"])
            exists = any((repo_root / "src" / "tessera").glob(pattern.rstrip("/")))
            if exists == bool(place["coming"]):
                wrong.append(f"{what}: {place[0]} {'exists' if exists else 'is missing'}")
    assert not wrong, "\n".join(wrong)
