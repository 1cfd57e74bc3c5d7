"""Every command of the README runs, in order, in one folder; only what takes long is made shorter.

The commands are taken from the page, so a command that is renamed there or in the code fails here. Where the
shipped model is not in this checkout, an untrained one takes its place.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import pytest

import tessera
from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import FOLDERS, assets_folder, shipped_folder
from tessera.cli.main import VERBS, main
from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tests.checkpoints.test_pair_folders import written
from tests.docs.pages import HUB_NAME, ROOT, blocks, commands, stand_in
from tests.docs.pages import workplace as furnished

README = ROOT / "README.md"
SHORTER = {
    "train": ["--stages.0.steps", "1", "--stages.0.packing.max-tokens", "1024"],
    "tune": ["--stages.0.steps", "1"],
    "evaluate": ["--count", "1"],
    "answer": ["--new-tokens", "4"],
    "quantize": ["--count", "1"],
    "prm": ["--responses", "1", "--continuations", "1", "--new-tokens", "8"],
    "prefer": ["--responses", "2", "--new-tokens", "4", "-o", "sampled.jsonl"],
    "demo": [],
}
"""Appended to a verb's documented arguments; the last value of an option counts."""
THREE_STAGES = [f"--stages.{i}.{field}" for i in (1, 2) for field in ("steps=1", "packing.max-tokens=1024")]


TESSERA = [words[1:] for words in commands(README) if words[0] == "tessera"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the page takes for granted."""
    with furnished(tmp_path_factory.mktemp("readme")) as folder:
        body = {"messages": [{"role": "user", "content": "how many?"}], "max_tokens": 2}
        request = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
        (folder / "responses.jsonl").write_text("".join(blocks(ROOT / "docs/prefer.md", "jsonl")))
        (folder / "questions.jsonl").write_text(json.dumps({"question": "3 + 4?", "answer": "7"}) + "\n")
        (folder / "requests.jsonl").write_text(json.dumps(request) + "\n")
        yield folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, or an untrained one of the same make."""
    if shipped("model"):
        return shipped_folder("model")
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    family = fresh("scale_model", tokenizer)
    vlm = VLM(family.model)
    initialise(vlm, 0)
    return save_checkpoint(tmp_path_factory.mktemp("untrained"), vlm, family, tokenizer)


def shipped(part: str) -> bool:
    return (assets_folder() / FOLDERS[part]).is_dir()  # type: ignore[index]


def runnable(words: list[str], model: Path) -> list[str]:
    """A documented command, made short, and independent of weights that are not in this checkout."""
    verb, arguments = words[0], [str(model) if word == HUB_NAME else word for word in words[1:]]
    if verb == "train":
        arguments += SHORTER["train"]
        if "internvl_2_5" in arguments:
            arguments += [word for pair in THREE_STAGES for word in pair.split("=")]
            for part in ("vision", "decoder"):
                arguments += [] if shipped(part) else [f"--start.{part}", "None"]
        else:
            arguments += ["--start.checkpoint", str(model)]
    elif verb == "tune":
        arguments = [str(model) if word == "shipped" else word for word in arguments] + SHORTER["tune"]
    elif verb == "evaluate":
        arguments += SHORTER["evaluate"]
    elif verb in ("chat", "answer"):
        arguments += [] if "--model" in arguments else ["--model", str(model)]
        arguments += SHORTER.get(verb, ["--max-new-tokens", "4"])
    elif verb == "prefer" and arguments[0] == "sample":
        arguments += SHORTER["prefer"]
    elif verb == "prm":
        arguments += SHORTER["prm"]
    return [verb, *arguments]


@pytest.mark.parametrize("number", range(len(TESSERA)), ids=[" ".join(words)[:60] for words in TESSERA])
def test_command_runs(
    number: int,
    workplace: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = TESSERA[number]
    if words[0] in ("classify", "retrieve"):
        pair = tessera.load(written(workplace / words[0] / "pair"))
        monkeypatch.setattr(tessera, "load", lambda *_: pair)
    if words[0] == "serve":
        assert starts_and_ends(words)
        return
    expected = 1 if words[0] == "diff-prompt" else 0  # transformers writes no system text: prompts differ
    assert main(runnable(words, model)) == expected, capsys.readouterr().err
    assert capsys.readouterr().out.strip()


def starts_and_ends(words: list[str]) -> bool:
    """Whether a server comes up with these words, and ends well when it is asked to."""
    command = [sys.executable, "-m", "tessera.cli.main", *words, "--port", "0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout
        address = next(line.split()[0] for line in running.stdout if line.startswith("http://127.0.0.1"))
        health = httpx.get(address.removesuffix("/v1") + "/health", timeout=60, trust_env=False)
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
        return health.json() == {"status": "ok"} and running.wait() == 0


def test_python_blocks_run(workplace: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tessera, "load", stand_in(model))
    names: dict[str, Any] = {}
    for code in blocks(README, "python"):
        exec(code, names)
    assert isinstance(names["answer"], str) and len(names["answers"]) == 3


def test_the_page_shows_every_verb_but_demo() -> None:
    """`tessera demo` runs as `make demo`; the rest must be on the page."""
    assert {words[0] for words in TESSERA} == set(VERBS) - {"demo"}


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (README.parent / "Makefile").read_text(encoding="utf-8"), re.M))
    wanted = {words[1] for words in commands(README) if words[0] == "make"}
    assert {"demo", "test"} <= wanted <= targets


def test_the_json_of_the_page_is_a_valid_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, meta = (json.loads(block) for block in blocks(README, "json"))
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / meta["my_pictures"]["annotation"]).write_text(json.dumps(record) + "\n")
    (tmp_path / "photos").mkdir()
    PIL.Image.new("RGB", (90, 70), "red").save(tmp_path / record["image"])
    assert main(["data", "check", str(tmp_path / "meta.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sources"]["my_pictures"]
    assert found["records"] == 1 and found["tiles"] > 1


def test_faults_look_as_the_page_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["playground", str(tmp_path / "own_data"), "--suite", "shapes", "--count", "8"])
    picture = tmp_path / "own_data" / "shapes" / "000006.png"
    picture.write_bytes(picture.read_bytes()[:-40])
    assert main(["data", "check", str(tmp_path / "own_data" / "meta.json")]) == 1
    shown = capsys.readouterr().out.splitlines()[-1]
    said = re.search(
        r"^own_data\S+ (image: unreadable picture).*(; replace .*)$", "".join(blocks(README, "")), re.M
    )
    assert said is not None
    start, remedy = said.groups()
    assert start in shown and shown.endswith(remedy)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target


def test_the_tree_names_every_room() -> None:
    text = README.read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (README.parent / "src/tessera").glob("*/__init__.py")}
    assert all(f"  {room}/" in text for room in rooms)
