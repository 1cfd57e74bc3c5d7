"""`tessera data check | preview | pack` from the command line: exit codes, tables, JSON, pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tessera.cli.main import DATA, main
from tests.records.planted import PLANTED, SOUND, good, write_corpus, write_lines

LIMITS = ["--max-tokens", "1200", "--max-tiles", "40", "--workers", "0"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("cli"))


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages with default names go to a folder of the test."""
    monkeypatch.chdir(tmp_path)


def test_help_names_every_verb_without_importing_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0 and main(["data", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"• {verb} " in shown for verb in DATA)


def test_an_unknown_verb_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "mend"]) == 2
    assert "'mend' is unknown; choose one of check, preview" in capsys.readouterr().err


def test_sound_data_pass(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(manifest.parent / "sound.json"), *LIMITS]) == 0
    shown = capsys.readouterr().out
    assert "sound" in shown and " tokens trained (" in shown and "letters by script: Latin 100.0%" in shown
    assert re.search(r"one epoch: 5 samples in about \d packs", shown)
    assert "faults" not in shown


def test_faults_are_listed_and_fail(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(manifest), *LIMITS, "--shown", "3"]) == 1
    shown = capsys.readouterr().out
    assert "planted.jsonl:1: image: missing file" in shown
    assert f"and {len(PLANTED) - 3} more" in shown
    assert main(["data", "check", str(manifest), *LIMITS, "--tolerate", "0.9"]) == 0


def test_json_has_everything(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = tmp_path / "fixed"
    arguments = [*LIMITS, "--json", "--shown", "100", "--fix", str(fixed), "--packs-per-step", "2"]
    assert main(["data", "check", str(manifest), *arguments]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["faulty"]) == (len(SOUND) + len(PLANTED), len(PLANTED))
    planted, sound = found["sources"]["planted"], found["sources"]["sound"]
    assert [fault["reason"] for fault in planted["faults"]] == [str(reason) for reason, _ in PLANTED]
    assert all(fault["remedy"] and fault["line"] for fault in planted["faults"])
    assert sum(planted["counts"].values()) == len(PLANTED)
    assert sum(sound["histograms"]["tokens"].values()) == len(SOUND)
    assert sound["boxes"]["count"] == 1 and sound["letters"]["Latin"] > 20
    assert found["epoch"]["steps"] == -(-found["epoch"]["packs"] // 2)
    assert found["fixed"]["kept"] == {"sound": len(SOUND), "planted": 0}
    assert main(["data", "check", str(fixed / "meta.json"), *LIMITS]) == 0


def test_the_report_is_one_file_with_everything_in_it(manifest: Path, tmp_path: Path) -> None:
    page = tmp_path / "folder" / "report.html"
    main(["data", "check", str(manifest), *LIMITS, "--report", str(page), "--samples", "40"])
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|<link", html)
    assert html.count("<caption>") >= 4 and "prefers-color-scheme: dark" in html
    assert "missing file" in html and "planted.jsonl:1" in html
    assert 'src="data:image/jpeg;base64,' in html
    assert re.search(r'<rect style="stroke:[^"]*" x="10" y="20" width="890" height="780"/>', html), "a box"
    assert re.search(r"<span style=[^>]*>dog</span>", html), "its name"
    assert re.search(r'<b title="weight 0\.\d+, token \d+">', html), "trained tokens with their weight"


def test_hostile_texts_reach_neither_page_nor_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = '<script>alert("x")</script>'
    record = good(1, evil, evil + " \x1b[31m", id=evil)
    write_lines(tmp_path / "a.jsonl", [record, record, {"conversations": evil}])
    (tmp_path / "meta.json").write_text(json.dumps({evil: {"annotation": "a.jsonl"}}))
    assert main(["data", "check", "meta.json", *LIMITS, "--report", "r.html"]) == 1
    assert main(["data", "preview", "meta.json", "-n", "3"]) == 1
    assert "\x1b[31m" not in capsys.readouterr().out
    assert main(["data", "pack", "meta.json", *LIMITS, "--skip"]) == 0
    for page in ("r.html", "preview.html", "packs.html"):
        assert "<script" not in (tmp_path / page).read_text(encoding="utf-8")


def test_preview_shows_what_is_trained(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = str(manifest.parent / "sound.json")
    assert main(["data", "preview", sound, "-n", "5", "--averaging", "token"]) == 0
    shown = capsys.readouterr().out
    assert "there are four words here<|im_end|>" in shown
    assert len(re.findall(r"sound.jsonl:\d", shown)) == 5
    assert re.search(r"\d+ tokens, \d+ tiles, \d+ trained", shown)
    html = Path("preview.html").read_text(encoding="utf-8")
    assert 'title="weight 1, token' in html
    assert main(["data", "preview", str(manifest), "-n", "4", "--source", "planted"]) == 1
    assert "sound" not in capsys.readouterr().out
    assert main(["data", "preview", sound, "--source", "nobody"]) == 2
    assert "the manifest has sound" in capsys.readouterr().err


def test_preview_repeats_with_its_seed(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = str(manifest.parent / "sound.json")
    shown = []
    for seed in ("1", "1", "2"):
        assert main(["data", "preview", sound, "-n", "3", "--seed", seed]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]


def test_packs_as_a_picture(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = str(manifest.parent / "sound.json")
    assert main(["data", "pack", sound, *LIMITS]) == 0
    shown = capsys.readouterr().out
    assert "5 samples; tokens" in shown and "padding 0" in shown and "█" in shown
    html = Path("packs.html").read_text(encoding="utf-8")
    assert html.count('class="sample"') >= 5 and "sound.jsonl:1: " in html


def test_packs_as_json_hold_every_record_once(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = str(manifest.parent / "sound.json")
    assert main(["data", "pack", sound, *LIMITS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    seats = [seat for pack in found["shown"] for seat in pack]
    assert sorted(seat["at"].rpartition(":")[2] for seat in seats) == ["1", "2", "3", "4", "5"]
    assert found["bound"] <= found["packs"] == len(found["shown"])
    assert all(sum(s["tokens"] for s in pack) <= 1200 for pack in found["shown"])
    assert all(sum(s["tiles"] for s in pack) <= 40 for pack in found["shown"])
    assert found["empty_tokens"] == found["packs"] * 1200 - found["tokens"]
    assert found["sources"]["sound"]["samples"] == 5 and found["whole_epoch"]


def test_pack_stops_at_a_fault_unless_told_to_skip(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "pack", str(manifest), *LIMITS, "--json"]) == 2
    assert "faults in the data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere.json"], "nowhere.json"),
        (["check", "{manifest}", "--tolerate", "7"], "--tolerate 7"),
        (["check", "{manifest}", "--family", "InternVL9"], "InternVL9"),
        (["check", "{manifest}", "--max-tokens", "0"], "--max-tokens 0: give at least 1"),
        (["check", "{manifest}", "--max-tiles", "-1"], "--max-tiles -1: give at least 0"),
        (["check", "{manifest}", "--packs-per-step", "0"], "--packs-per-step 0: give at least 1"),
        (["check", "{manifest}", "--samples", "-1"], "--samples -1: give at least 0"),
        (["pack", "{manifest}", "--window", "0"], "--window 0: give at least 1"),
        (["pack", "{manifest}", "--workers", "-2"], "--workers -2: give at least 0"),
        (["preview", "{manifest}", "-n", "0"], "--count 0"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *(argument.format(manifest=manifest) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
