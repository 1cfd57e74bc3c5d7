"""Runs over small manifests: rows, order, exemption, model steps, resuming, Ray."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import PIL.Image
import pytest

from tessera.curation.filters.config import DomainConfig, FilterConfig, JudgeModelConfig, read_config
from tests.curation.filters.small import FakeScorer, open_run, rows, silent, turns, write_manifest

LOOP = "wait, let me check. " * 30
MODEL = JudgeModelConfig(address="http://unused")


def text_records(count: int = 8) -> list[dict[str, Any]]:
    records = [turns(f"What is {n}?", f"{n} is a number, and a nice one.") for n in range(count)]
    records[1] = turns("Count.", LOOP)
    records[3] = turns("What is there?", "None")
    return records


def pictured(folder: Path, answer: str) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 8)).save(folder / "p.png")
    return {**turns("<image>\nWhat is it?", answer), "image": "p.png"}


def test_rows_name_record_line_rule_and_evidence(tmp_path: Path) -> None:
    run = open_run(write_manifest(tmp_path, text=text_records()), tmp_path / "out")
    summary = run.execute(None, silent)
    loop, *_ = (row for row in rows(run) if row["rule"] == "phrase_loop")
    assert (loop["source"], loop["record"], loop["line"], loop["turn"]) == ("text", 1, 2, 1)
    assert loop["file"].endswith("text.jsonl")
    assert (loop["score"], loop["threshold"], loop["verdict"]) == (30, 8, "drop")
    assert LOOP[loop["start"] : loop["end"]].count("check") == 30
    assert loop["excerpt"].startswith("wait, let me check.")
    none, *_ = (row for row in rows(run) if row["rule"] == "placeholder")
    assert (none["record"], none["verdict"]) == (3, "borderline")
    assert dict(summary.total) == {"records": 8, "text": 8, "keep": 6, "borderline": 1, "drop": 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_change_nothing(tmp_path: Path, workers: int) -> None:
    manifest = write_manifest(tmp_path, a=text_records(700), b=text_records(300))
    alone = open_run(manifest, tmp_path / "alone")
    several = open_run(manifest, tmp_path / "several", workers=workers)
    first, second = alone.execute(None, silent), several.execute(None, silent)
    assert first.as_dict() == second.as_dict()
    one, other = (run.out / "verdicts.jsonl" for run in (alone, several))
    assert one.read_bytes() == other.read_bytes()
    order = [(row["source"], row["record"]) for row in rows(alone)]
    assert order == sorted(order) and len(order) >= 4


def test_academic_pictures_are_exempt_and_their_text_is_not(tmp_path: Path) -> None:
    records = [pictured(tmp_path, LOOP), turns("Count.", LOOP)]
    manifest = write_manifest(tmp_path, vqa=records, web=records)
    entries = json.loads(manifest.read_text())
    entries["vqa"]["academic"] = True
    manifest.write_text(json.dumps(entries))
    run = open_run(manifest, tmp_path / "out")
    summary = run.execute(None, silent)
    dropped = {(row["source"], row["record"]) for row in rows(run) if row["verdict"] == "drop"}
    assert dropped == {("vqa", 1), ("web", 0), ("web", 1)}
    assert summary.sources["vqa"]["exempt"] == 1
    assert summary.sources["web"]["multimodal"] == 1


def test_sources_can_be_exempt_by_pattern_and_a_pattern_must_match(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, coco_caption=[pictured(tmp_path, LOOP)])
    run = open_run(manifest, tmp_path / "out", FilterConfig(exempt=("coco*",)))
    assert run.execute(None, silent).total["keep"] == 1
    with pytest.raises(ValueError, match="exempt: 'cocoa' matches no source; choose among coco_caption"):
        open_run(manifest, tmp_path / "out", FilterConfig(exempt=("cocoa",)))


def test_an_unreadable_record_is_a_row(tmp_path: Path) -> None:
    records = [turns("a", "b"), {"id": 1}, turns("a", "")]
    run = open_run(write_manifest(tmp_path, text=records), tmp_path / "out")
    run.execute(None, silent)
    assert [(row["record"], row["rule"], row["verdict"]) for row in rows(run)] == [
        (1, "faulty", "drop"),
        (2, "empty_answer", "drop"),
    ]


def judge_like_a_model(prompt: str) -> str:
    """A score by what stands in the record; 'odd' gets words without a score."""
    if "Sort the conversation" in prompt:
        return "mathematics" if "2 + 2" in prompt else "no idea"
    if "odd" in prompt:
        return "I can't say."
    repetition = "You look for repetition" in prompt
    bad, unsure = ("again again", "twice") if repetition else ("bad", "fair")
    score = (1 if repetition else 2) if bad in prompt.split("=====")[2] else 10
    if unsure in prompt.split("=====")[2]:
        score = 4 if repetition else 7
    return json.dumps({"score": score, "reason": f"it is {score}"})


def test_model_scores_become_rows_by_threshold(tmp_path: Path) -> None:
    records = [turns("q", a) for a in ("good", "bad", "fair", "odd", "again again", "twice", LOOP)]
    records.append(pictured(tmp_path, "bad"))
    run = open_run(write_manifest(tmp_path, text=records), tmp_path / "out", FilterConfig(model=MODEL))
    scorer = FakeScorer(judge_like_a_model)
    summary = run.execute(scorer, silent)
    found = {(row["record"], row["rule"]): row for row in rows(run)}
    verdicts = {key: row["verdict"] for key, row in found.items() if key[1].startswith("model_")}
    assert verdicts == {
        **{(n, "model_quality"): "keep" for n in (0, 4, 5)},
        (1, "model_quality"): "drop",
        (2, "model_quality"): "borderline",
        (3, "model_quality"): "borderline",
        **{(n, "model_repetition"): "keep" for n in (0, 1, 2, 7)},
        (3, "model_repetition"): "borderline",
        (4, "model_repetition"): "drop",
        (5, "model_repetition"): "borderline",
    }
    odd = found[3, "model_quality"]
    assert odd["score"] is None and odd["excerpt"] == "I can't say." and odd["threshold"] == 7
    assert found[1, "model_quality"]["excerpt"] == "it is 2"
    assert summary.rules["model_quality"]["unreadable"] == 1
    # A record that a rule dropped costs nothing; pictures get no score for quality.
    assert len(scorer.prompts) == 6 * 2 + 1
    assert summary.model["asked"] == 13 and summary.model["prompt_tokens"] == 1300


def test_the_domain_chooses_the_prompt(tmp_path: Path) -> None:
    records = [turns("2 + 2", "4 it is"), turns("hello", "you")]
    by_model = DomainConfig(by="model")
    manifest = write_manifest(tmp_path, text=records)
    run = open_run(manifest, tmp_path / "out", FilterConfig(model=MODEL, domains=by_model))
    scorer = FakeScorer(judge_like_a_model)
    summary = run.execute(scorer, silent)
    asked = [prompt for prompt in scorer.prompts if "2 + 2" in prompt]
    assert any("mathematical questions" in prompt for prompt in asked)
    assert dict(summary.domains) == {"mathematics": 1, "general": 1}
    assert summary.rules["model_domain"]["unreadable"] == 1  # "no idea": the rule decided, and a row says so
    named = DomainConfig(by="model", sources={"te*": "programming"})
    run = open_run(manifest, tmp_path / "named", FilterConfig(model=MODEL, domains=named))
    assert dict(run.execute(FakeScorer(judge_like_a_model), silent).domains) == {"programming": 2}


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    records = [turns(f"q {n}", "a fine answer") for n in range(30)]
    manifest = write_manifest(tmp_path, text=records)
    config = FilterConfig(model=MODEL)
    run = open_run(manifest, tmp_path / "out", config)
    with pytest.raises(KeyboardInterrupt):
        run.execute(FakeScorer(judge_like_a_model, dies_after=21), silent)
    assert not (run.out / "verdicts.jsonl").exists()
    rest = FakeScorer(judge_like_a_model)
    summary = run.execute(rest, silent)
    assert len(rest.prompts) == 60 - 21
    assert summary.model["from_store"] == 21
    whole = open_run(manifest, tmp_path / "whole", config)
    whole.execute(FakeScorer(judge_like_a_model), silent)
    assert rows(run) == rows(whole)


def test_verdicts_hold_until_data_or_settings_change(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, text=text_records())
    run = open_run(manifest, tmp_path / "out")
    assert run.existing() is None
    summary = run.execute(None, silent)
    existing = run.existing()
    assert existing is not None and existing.as_dict() == summary.as_dict()
    assert open_run(manifest, tmp_path / "out", FilterConfig(review_samples=3)).existing() is not None
    assert open_run(manifest, tmp_path / "out", FilterConfig(score_dropped=True)).existing() is None
    write_manifest(tmp_path, text=text_records(9))
    assert open_run(manifest, tmp_path / "out").existing() is None


def test_ray_gives_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Ray Data: what crosses is plain, what comes back is the same."""

    class Rows:
        def __init__(self, items: list[dict[str, Any]]) -> None:
            self.items = items

        def map(self, function: Any) -> Rows:
            return Rows([function(json.loads(json.dumps(item))) for item in self.items])

        def iter_rows(self) -> Any:
            return iter(self.items)

    context = SimpleNamespace(execution_options=SimpleNamespace(preserve_order=False))
    module = ModuleType("ray.data")
    module.DataContext = SimpleNamespace(get_current=lambda: context)  # type: ignore[attr-defined]
    module.from_items = Rows  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray.data", module)
    manifest = write_manifest(tmp_path, a=text_records(300), b=text_records(60))
    here, there = open_run(manifest, tmp_path / "here"), open_run(manifest, tmp_path / "there", on="ray")
    assert here.execute(None, silent).as_dict() == there.execute(None, silent).as_dict()
    assert rows(here) == rows(there)
    assert context.execution_options.preserve_order


def test_without_ray_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    run = open_run(write_manifest(tmp_path, a=text_records()), tmp_path / "out", on="ray")
    with pytest.raises(ValueError, match=r"pip install 'ray\[data\]'"):
        run.execute(None, silent)


def test_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "filter.yaml"
    file.write_text(
        "rules:\n  url_share: {drop: 0.2}\n  zero_run: off\nquality: {threshold: 6}\nprompts: own\n"
    )
    config = read_config(file)
    assert config.rules["url_share"].drop == config.rules["url_share"].borderline == 0.2
    assert "zero_run" not in config.rules and "truncated" in config.rules
    assert config.quality.threshold == 6 and config.quality.margin == 1
    assert config.prompts == tmp_path / "own"
    assert read_config(None) == FilterConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: {url_shar: off}", "rules: unknown rule url_shar; choose among ngram_repetition"),
        ("quality: {treshold: 7}", "quality.(threshold|treshold): "),
        ("model: {name: x}", "model: model: give either address or checkpoint"),
        ("rules: [", "not YAML"),
        ("- 1", "expected keys such as rules, model"),
        ("quality: {threshold: 70}", "quality.threshold"),
    ],
)
def test_mistakes_in_the_config_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "filter.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"filter.yaml: {message}"):
        read_config(file)
