"""Prompts by name: the published wording, suffixes gone, pictures in front."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tessera.align.prompts import PROMPTS, SUFFIXES, strip_suffix, version_for, write_prompt
from tessera.scoring.reasoned.extraction import VERSIONS


def test_every_prompt_has_its_rule_of_extraction() -> None:
    assert list(PROMPTS) == list(VERSIONS)


def test_wording_is_that_of_the_facts(repo_root: Path) -> None:
    page = (repo_root / "docs/facts/preferences.md").read_text(encoding="utf-8")
    pieces = page.split("```\n")
    fenced = [(before.splitlines()[-1].strip("`"), text.rstrip("\n")) for before, text in pairwise(pieces)]
    told = {name: text for name, text in fenced if name in PROMPTS}
    assert set(told) == {"en", "zh", "en_v2", "zh_v2", "en_v2_mc"}
    assert all(PROMPTS[name] == text for name, text in told.items())
    system = next(text for _, text in fenced if text.startswith("You are an AI assistant"))
    ends = {name: PROMPTS[name].removeprefix(system + "\n{question}\n") for name in ("en_r1", "zh_r1")}
    assert all(f"`{end}`" in page for end in ends.values())
    assert all(suffix in page for suffix in SUFFIXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_go(suffix: str) -> None:
    assert strip_suffix(f"How many?\n{suffix}") == "How many?"
    assert strip_suffix(f"{suffix} How many?") == f"{suffix} How many?"


@pytest.mark.parametrize(
    ("question", "pictures", "begin", "marks"),
    [
        ("<image>\nHow many?", 1, "<image>\nHow many?\nAnswer the", 1),
        ("How many? <image>", 1, "<image>\nHow many? Answer the", 1),
        ("How many?", 1, "<image>\nHow many?\nAnswer the", 1),
        ("<image><image>\nHow many?", 2, "<image><image>\nHow many?\nAnswer", 2),
        ("What does <image> mean?", 0, "What does <image> mean?\nAnswer", 1),
    ],
)
def test_marks_of_pictures(question: str, pictures: int, begin: str, marks: int) -> None:
    prompt = write_prompt(question, "en_v2", pictures)
    assert prompt.startswith(begin) and prompt.count("<image>") == marks
    assert "{question}" not in prompt


def test_a_question_with_braces_stays_as_it_is() -> None:
    """`str.format` would stop at the braces of LaTeX."""
    assert "\\frac{1}{2}{question}" in write_prompt("\\frac{1}{2}{question}", "en", 0)


def test_versions() -> None:
    assert [version_for("geo_zh_1.jsonl", name) for name in ("en", "en_r1", "zh_v2")] == [
        "zh",
        "zh_r1",
        "zh_v2",
    ]
    assert version_for("geo.jsonl", "en_v2") == "en_v2"
    with pytest.raises(ValueError, match="prompt_version 'de' is unknown; give one of en, zh"):
        write_prompt("How many?", "de", 0)
