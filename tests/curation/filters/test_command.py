"""`tessera data filter` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.cli.main import parse
from tessera.records.manifest import read_meta
from tests.curation.filters.small import FakeServer, serve, turns, write_manifest
from tests.curation.filters.test_run import text_records


def main(words: list[str]) -> int:
    return parse(["data", "filter", *words]).run()


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    value = json.loads(out)
    assert isinstance(value, dict)
    return value


def test_judge_review_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, out = write_manifest(tmp_path, a=text_records()), tmp_path / "out"
    common = [str(manifest), "--out", str(out), "--workers", "0"]
    assert main([*common, "--json"]) == 0
    first = told(capsys)
    assert first["total"] == {"records": 8, "keep": 6, "borderline": 1, "drop": 1}
    assert not (out / "meta.json").exists()
    decisions = tmp_path / "decisions.json"
    stamp = json.loads((out / "run.json").read_text())["stamp"]
    entry = {"source": "a", "record": 1, "verdict": "keep"}
    decisions.write_text(json.dumps({"run": stamp, "decisions": [entry]}))
    before = (out / "verdicts.jsonl").stat().st_mtime_ns
    assert main([*common, "--decisions", str(decisions), "--json"]) == 0
    second = told(capsys)
    assert (out / "verdicts.jsonl").stat().st_mtime_ns == before, "verdicts that hold are not made again"
    assert second["clean"]["sources"] == {"a": {"kept": 8, "overruled": 1, "undecided": 1}}  # type: ignore[index]
    assert read_meta(out / "meta.json")[0].length == 8


def test_tables_and_the_way_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, out = write_manifest(tmp_path, a=text_records()), tmp_path / "out"
    assert main([str(manifest), "--out", str(out), "--workers", "0"]) == 0
    shown = capsys.readouterr().out
    assert "phrase_loop" in shown and "--decisions decisions.json" in shown
    assert main([str(manifest), "--out", str(out), "--workers", "0", "--write"]) == 0
    assert "7 kept, 1 rejected" in capsys.readouterr().out


def test_scores_from_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, out = write_manifest(tmp_path, a=[turns("q", "fine"), turns("q", "bad")]), tmp_path / "out"
    config = tmp_path / "filter.yaml"
    with serve(FakeServer(lambda prompt, _: (200, '{"score": 2}' if "bad" in prompt else "9"))) as server:
        model = {"address": server.address, "concurrency": 2, "key_variable": "A_KEY", "prompt_price": 1e6}
        config.write_text(json.dumps({"model": model}))
        call = [str(manifest), "--out", str(out), "--config", str(config), "--workers", "0", "--json"]
        monkeypatch.delenv("A_KEY", raising=False)
        with pytest.raises(ValueError, match="the environment has no A_KEY"):
            main(call)
        monkeypatch.setenv("A_KEY", "secret")
        assert main(call) == 0
        first = told(capsys)
        assert main(call) == 0
        second = told(capsys)
    assert first["total"] == {"records": 2, "keep": 1, "borderline": 0, "drop": 1}
    assert first["model"]["asked"] == 4 and first["model"]["cost"] == 28  # type: ignore[index]
    assert second["model"]["asked"] == 0 and second["model"]["from_store"] == 4  # type: ignore[index]
    assert len(server.prompts) == 4
    assert not any("secret" in file.read_text(errors="replace") for file in out.iterdir() if file.is_file())


def test_a_local_checkpoint_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped scale model knows nothing of scores: every answer is counted as unreadable, none is 0."""
    from tessera.checkpoints.shipped import shipped_folder

    manifest, config = write_manifest(tmp_path, a=[turns("q", "fine")]), tmp_path / "filter.yaml"
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "repetition.txt").write_text("{fence} {sample} <image> {fence}")
    model = {"checkpoint": str(shipped_folder()), "max_tokens": 4}
    config.write_text(
        json.dumps({"model": model, "prompts": "short", "quality": {"threshold": 7, "on": False}})
    )
    assert (
        main(
            [
                str(manifest),
                "--out",
                str(tmp_path / "out"),
                "--config",
                str(config),
                "--workers",
                "0",
                "--json",
            ]
        )
        == 0
    )
    found = told(capsys)
    assert found["rules"] == {"model_repetition": {"borderline": 1, "unreadable": 1}}
    assert found["model"]["asked"] == 1  # type: ignore[index]


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=text_records()).rename(tmp_path / "meta.json")
    with pytest.raises(ValueError, match="meta.json would be overwritten; choose another folder"):
        main([str(manifest), "--out", str(tmp_path), "--workers", "0", "--write"])
    assert main([str(manifest), "--out", str(tmp_path / "out"), "--workers", "0", "--write"]) == 0
    second = (tmp_path / "out" / "meta.json").rename(tmp_path / "second.json")
    entries = json.loads(second.read_text())
    entries["a"]["annotation"] = "out/clean/a.jsonl"
    second.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match="a.jsonl would be overwritten"):
        main([str(second), "--out", str(tmp_path / "out"), "--workers", "0", "--write"])
