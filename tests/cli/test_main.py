"""The command: verbs found lazily, errors told in one line, exit codes a script can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera import __version__
from tessera.cli import main as command
from tessera.cli.command import Command
from tessera.cli.main import VERBS, main


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"• {verb} " in shown for verb in VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tessera {__version__}\n"


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"usage: tessera {verb}" in capsys.readouterr().out.lower()


def test_unknown_verb_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint"]) == 2
    assert "'paint' is unknown; choose one of chat, answer" in capsys.readouterr().err
    assert main(["inspct"]) == 2
    assert "did you mean inspect?" in capsys.readouterr().err


def test_an_unknown_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "what?", "--max-tile", "3"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("tessera chat: '--max-tile' is no option here; did you mean --max-tiles?")
    assert shown.err.count("\n") == 1 and not shown.out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_verbs_and_their_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tyro-print-completion", shell]) == 0
    shown = capsys.readouterr().out
    for word in ("diff-prompt", "preview", "captions", "--max-new-tokens", "--packs-per-step", "--copy"):
        assert word in shown


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(ValueError("field: 3; give 4"), 2, "field: 3; give 4"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_errors_become_one_line(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(words: list[str]) -> Command:
        raise error

    monkeypatch.setattr(command, "parse", fail)
    assert main(["chat"]) == code
    shown = capsys.readouterr().err.strip()
    assert said in shown and "\n" not in shown


def test_a_programming_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "parse", lambda words: [].pop(words))
    with pytest.raises(TypeError):
        main(["chat", "x"])


def test_playground_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `tessera playground` writes, `tessera data check` finds without fault, from any folder."""
    out = str(tmp_path / "data")
    assert main(["playground", out, "--count", "10"]) == 0
    assert main(["data", "check", f"{out}/meta.json", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["records"], report["faulty"]) == (10, 0)
    assert all(source["tokens"] > 0 and not source["faults"] for source in report["sources"].values())


def test_check_names_faults_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"image": "gone.png", "conversations": []}\n{"image": 1\n')
    (tmp_path / "meta.json").write_text('{"mine": {"annotation": "a.jsonl"}}')
    assert main(["data", "check", str(tmp_path / "meta.json")]) == 1
    shown = capsys.readouterr().out
    assert "a.jsonl:1: conversations: bad field" in shown
    assert "a.jsonl:2:" in shown


def test_missing_meta_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err
