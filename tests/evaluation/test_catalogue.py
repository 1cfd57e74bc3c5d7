"""The benchmarks that ship are whole, and a file of one's own needs five lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.evaluation.benchmarks.catalogue import (
    all_benchmarks,
    expand_names,
    find_benchmark,
    known_names,
)
from tessera.evaluation.benchmarks.presets import PRESETS, resolve
from tessera.evaluation.benchmarks.prompts import write_question
from tessera.evaluation.rows.item import Item, MediaFile
from tessera.scoring.registry import aggregate, scorer
from tessera.scoring.verdict import Reference

ALL = all_benchmarks()
FIELDS: dict[str, Any] = {
    "hint": "Look.",
    "query": "Hint: look.\nQuestion: What is it?",
    "question_type": "multi_choice",
    "answer_type": "integer",
    "precision": 1,
    "subject": "world_history",
    "task": "count",
    "input": {"context": "A: a cat\nB: two dogs"},
    "source": "OE_MM_maths_en_COMP",
}
"""Columns that prompts use."""
OPTIONS = {"A": "a cat", "B": "two dogs", "C": "no", "D": "yes"}


@pytest.fixture
def folder(repo_root: Path) -> Path:
    return repo_root / "src" / "tessera" / "assets" / "benchmarks"


def test_files_are_called_as_their_benchmarks(folder: Path) -> None:
    assert [file.stem for file in sorted(folder.glob("*/*.yaml"))] == [one.name for one in ALL.values()]
    assert all(len(list(group.iterdir())) <= 12 for group in folder.iterdir() if group.is_dir())


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_is_whole(name: str) -> None:
    benchmark = ALL[name]
    assert benchmark.about and benchmark.metric and benchmark.url
    assert set(benchmark.presets) <= {"official", "vlmevalkit", "lmms-eval"}
    for rules in benchmark.presets.values():
        assert rules.data is None or rules.data in benchmark.data
    values = [value for source in benchmark.published.values() for value in source.values()]
    assert all(0 < value <= benchmark.best for value in values)
    assert benchmark.best == 100 or not values or max(values) > benchmark.best / 100


@pytest.mark.parametrize("name", ALL)
def test_every_preset_asks_something(name: str) -> None:
    benchmark = ALL[name]
    clip = any(form.video for form in benchmark.data.values())
    text_only = not clip and not any(form.image for form in benchmark.data.values())
    media = [] if text_only else [MediaFile(Path("a.mp4" if clip else "a.jpg"), "video" if clip else "image")]
    item = Item("1", Reference(("A",), OPTIONS, "What is it?", FIELDS), tuple(media))
    for preset in PRESETS:
        rules = resolve(benchmark, preset)
        text = write_question(item, rules)
        assert "{{" not in text and "{%" not in text and "\n\n\n" not in text
        assert len(text) > 15 or "{{ question }}" in rules.prompt


@pytest.mark.parametrize("name", ALL)
def test_scorers_and_aggregates_are_there(name: str) -> None:
    for preset in PRESETS:
        rules = resolve(ALL[name], preset)
        for make, chosen in ((scorer, dict(rules.scorer)), (aggregate, dict(rules.aggregate))):
            make(chosen.pop("name"), chosen)


def test_names_and_suites_lead_to_benchmarks() -> None:
    names = known_names()
    assert set(names.aliases.values()) <= set(ALL)
    assert not (set(names.aliases) | set(names.suites)) & set(ALL)
    for suite in names.suites.values():
        assert set(suite) <= set(ALL) and len(set(suite)) == len(suite)
    assert expand_names(["chartqa", "RefCOCO", "refcoco_val"]) == ["chartqa", *names.suites["refcoco"]]


def test_find_by_any_writing() -> None:
    assert find_benchmark("DocVQA-val") is ALL["docvqa_val"]
    assert find_benchmark("ChartQA_TEST") is ALL["chartqa"]


@pytest.mark.parametrize(
    ("name", "told"), [("docvqa_vall", "docvqa_val"), ("refcoco", "suite"), ("mmbench_dev", "mmbench_dev_en")]
)
def test_a_miss_tells_what_is_near(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        find_benchmark(name)


OWN = "name: mine\nkind: choice\ndata: questions.tsv\nscorer: exact\n"


def test_four_lines_are_enough(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    mine = find_benchmark(tmp_path / "mine.yaml")
    form = mine.data["own"]
    assert (mine.title, mine.scorer.name, mine.aggregate.name) == ("mine", "exact", "mean")
    assert form.file == (str(tmp_path / "questions.tsv"),) and Path(form.media) == tmp_path
    assert form.image == ("image",) and form.options[:2] == ("A", "B") and len(form.options) == 26


def test_files_of_several_parts_stand_beside_their_own(tmp_path: Path) -> None:
    text = "name: mine\nkind: short\nscorer: exact\ndata:\n  own:\n    file: [one=a.jsonl, two=b.jsonl]\n"
    (tmp_path / "mine.yaml").write_text(text)
    form = find_benchmark(tmp_path / "mine.yaml").data["own"]
    assert form.file == (f"one={tmp_path / 'a.jsonl'}", f"two={tmp_path / 'b.jsonl'}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("kind: choice", "kind: choise"), "kind = 'choise'"),
        (("scorer: exact\n", ""), "scorer"),
        (("scorer:", "judges: none\nscorer:"), "judges"),
        (("name: mine", "name: My Own"), "name = 'My Own'"),
        (("questions.tsv", "{own: {fil: a.tsv}}"), "fil"),
        ((OWN, ""), "expected an object; it has fields such as name, title"),
        ((OWN, "- name: mine\n"), "it holds records; it has fields such as name"),
        ((OWN, "name: a\nname: b\n"), "'name' stands twice"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    (tmp_path / "mine.yaml").write_text(OWN.replace(*change))
    with pytest.raises(ValueError, match=told) as caught:
        find_benchmark(tmp_path / "mine.yaml")
    assert "mine.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        find_benchmark(tmp_path / "none.yaml")
