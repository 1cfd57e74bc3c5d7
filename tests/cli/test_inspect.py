"""`tessera inspect` from the command line: what it prints is what the encoder does."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest

from tessera.chat.message import Conversation, ask
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tests.engine import tiny


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "wide.png"
    PIL.Image.new("RGB", (640, 320), "orange").save(path)
    return path


def test_lines_and_picture(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "seen.png"
    assert main(["inspect", str(picture), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "640 x 320 pixels" in printed
    assert "2 x 1 tiles of 64 px + thumbnail = 3" in printed
    assert "3 x 16 = 48" in printed
    assert "<img><IMG_CONTEXT>*48</img>\nDescribe the picture." in printed
    assert PIL.Image.open(out).width > 600


def test_json_agrees_with_the_encoder(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_checkpoint(tmp_path / "model", tiny.model(), tiny.family(), tiny.tokenizer())
    arguments = ["--model", str(folder), "--max-tiles", "1", "--question", "how many?", "--json"]
    assert main(["inspect", str(picture), *arguments, "--out", str(tmp_path / "a.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["columns"], found["rows"], found["tiles"], found["thumbnail"]) == (1, 1, 1, False)
    family = tiny.family()
    tiling = family.tiling.model_copy(update={"max_tiles": 1})
    encoder = family.model_copy(update={"tiling": tiling}).encoder(tiny.tokenizer())
    conversation = Conversation((ask("how many?", images=[picture]),))
    assert found["prompt_tokens"] == len(encoder.encode(conversation, generate=True).ids)
    assert found["prompt"] == encoder.render_text(conversation, generate=True)


def test_another_family(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--family", "InternVL3-1B", "--json", "--out", str(tmp_path / "a.png")]
    assert main(["inspect", str(picture), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["columns"], found["rows"], found["tile_side"], found["tokens_per_tile"]) == (2, 1, 448, 256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "missing.png"),
        (["{picture}", "--max-tiles", "0"], "--max-tiles 0"),
        (["{picture}", "--family", "InternVL9"], "InternVL9"),
        (["{picture}", "--out", "{folder}/no/a.png"], "no/a.png"),
        (["{picture}", "--model", "{folder}"], "checkpoint"),
        (["{picture}", "--model", "InternVL9-1B-nothing"], "InternVL9-1B-nothing"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [argument.format(picture=picture, folder=tmp_path) for argument in arguments]
    if "--out" not in filled:
        filled += ["--out", str(tmp_path / "a.png")]
    assert main(["inspect", *filled]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
