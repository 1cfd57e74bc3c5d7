"""docs/retrieve.md is true: its commands and its code run with a toy pair, which also answers the client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

import tessera
from tessera.cli.main import main
from tessera.engine.pair.model import PairModel
from tests.checkpoints.test_pair_folders import written
from tests.docs.pages import ROOT, blocks, commands, workplace

PAGE = ROOT / "docs" / "retrieve.md"
NAME = "OpenGVLab/InternVL-14B-224px"
COMMANDS = [words[1:] for words in commands(PAGE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("pair") / "InternVL-14B-224px")


@pytest.fixture(scope="module")
def pair(folder: Path) -> PairModel:
    found: Any = tessera.load(folder)
    assert isinstance(found, PairModel)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the page's commands take for granted."""
    with workplace(tmp_path_factory.mktemp("retrieve")) as here:
        for name in ("circle", "square"):
            (here / "classes" / name).mkdir(parents=True)
        (here / "pictures").mkdir()
        for number, name in enumerate(("a.png", "b.png", "picture.png")):
            shutil.copy(name, here / "pictures" / name)
            shutil.copy(name, here / "classes" / ("circle", "square")[number % 2] / name)
        shutil.copy("clip.mp4", here / "pictures" / "clip.mp4")
        (here / "captions.txt").write_text("a red circle\ntwo squares\n")
        (here / "names.txt").write_text("a.png\nb.png\n")
        (here / "pairs.jsonl").write_text('{"image": "a.png", "caption": ["one", "two"]}\n')
        (here / "clips.json").write_text(json.dumps([{"video": "clip.mp4", "caption": "it moves"}]))
        yield here


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[" ".join(words)[:50] for words in COMMANDS])
def test_command_runs(
    number: int,
    place: Path,
    pair: PairModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = COMMANDS[number]
    assert words[-2:] == ["--model", NAME]
    monkeypatch.setattr(tessera, "load", lambda *_: pair)
    assert main(words) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()


def test_python_blocks_run(place: Path, pair: PairModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tessera, "load", lambda *_: pair)
    names: dict[str, Any] = {}
    for code in blocks(PAGE, "python"):
        exec(code, names)
    assert names["rows"].shape == (2, pair.width)


def test_mode_g_has_an_index_of_its_own(
    place: Path, pair: PairModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tessera, "load", lambda *_: pair)
    given = ["retrieve", "pictures", "--index", "g.safetensors", "--model", "x", "--json"]
    for mode, added in (("c", 4), ("g", 0), ("g", 0)):
        assert main([*given, "--mode", mode]) == 0
        told = json.loads(capsys.readouterr().out)["index"]
        assert (told["added"], told["items"]) == (added, 4)
    assert told["kept"] == 4


def test_a_pair_is_served(pair: PairModel, folder: Path) -> None:
    """The command itself, in a process of its own, and the unmodified client."""
    words = ["serve", str(folder), "--port", "0"]
    command = [sys.executable, "-m", "tessera.cli.main", *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout
        address = next(line.split()[0] for line in running.stdout if line.startswith("http://127.0.0.1"))
        client = openai.OpenAI(base_url=address, api_key="none", timeout=60)
        answer = client.embeddings.create(model="InternVL-14B-224px", input=["a red circle"])
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
        assert running.wait() == 0
    torch.testing.assert_close(torch.tensor([answer.data[0].embedding]), pair.embed_texts(["a red circle"]))
