"""`tessera link` and masks in `tessera chat`, with an untrained model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.cli.main import main
from tessera.engine.chat_model import ChatModel
from tessera.evaluation.masked import filled_box, masked_questions
from tests.engine import linked, tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linked.saved(tmp_path_factory.mktemp("linked") / "model")


@pytest.fixture
def always_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model writes nothing but two masks: every question is asked with a bias."""
    bias = {linked.tokenizer().token_id("[SEG]"): 100.0}
    prompt = ChatModel.prompt

    def biased(self: ChatModel, *given: object, **options: object) -> object:
        return prompt(self, *given, **options | {"logit_bias": bias, "max_new_tokens": 8})  # type: ignore[arg-type]

    monkeypatch.setattr(ChatModel, "prompt", biased)


def test_draw_and_evaluate(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["link", "draw", str(tmp_path / "drawn"), "--count", "3", "--seed", "4"]) == 0
    meta = tmp_path / "drawn/meta.json"
    assert f"meta file: {meta}" in capsys.readouterr().out
    count = len(list(masked_questions(meta, ["[SEG]"])))
    assert count >= 9 and len(list(masked_questions(meta, ["[SEG]"], 2))) == 2
    assert main(["link", "evaluate", str(meta), "--model", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["questions"] == count
    assert told["figures"]["right boxes instead of masks"]["P@0.5"] > 99
    assert main(["link", "evaluate", str(meta), "--model", str(model), "--count", "2"]) == 0
    assert capsys.readouterr().out.startswith("2 questions, as many masks as right ones in ")


def test_mistakes_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["link", "draw", str(tmp_path / "d"), "--level", "4"], "--level 4: give 1 (easy), 2 (standard)"),
        (["link", "draw", str(tmp_path / "d"), "--count", "0"], "--count 0: give at least 1"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1


def test_a_box_is_filled() -> None:
    ring = np.zeros((6, 7), dtype=np.bool_)
    ring[1, 2:5] = ring[3, 2:5] = ring[2, 2] = True
    assert filled_box(ring).sum() == 9 and not filled_box(ring & False).any()


def test_chat_saves_masks(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    always_linked: None,
) -> None:
    picture = tmp_path / "picture.png"
    tiny.picture(1, 40, 20).save(picture)
    links = tmp_path / "links"
    words = ["chat", str(picture), "mask it", "--model", str(model), "--links", str(links), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answer"] == "[SEG][SEG]" and len(told["links"]) == 2
    (mask,) = told["links"][1]["masks"]
    assert mask["file"] == str(links / "001_mask_2.png") and mask["picture"] == 0
    stored = np.asarray(PIL.Image.open(mask["file"]))
    assert stored.shape == (20, 40) and set(np.unique(stored)) <= {0, 255}
    assert told["overlays"] == [str(links / "001_overlay_1.png")]
    assert PIL.Image.open(told["overlays"][0]).size == (40, 20)


def test_a_terminal_is_told_where_masks_are(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams go the same way; an answer without links makes no folder."""
    picture = tmp_path / "picture.png"
    tiny.picture(1, 40, 20).save(picture)
    links = tmp_path / "links"
    words = ["chat", str(picture), "is it red?", "--model", str(model), "--links", str(links)]
    assert main([*words, "--max-new-tokens", "1"]) == 0 and not links.exists()
    stream = ChatModel.stream
    bias = {linked.tokenizer().token_id(name): 100.0 for name in ("[GEN]",)}
    monkeypatch.setattr(
        ChatModel, "stream", lambda self, *a, **o: stream(self, *a, **o | {"logit_bias": bias})
    )
    capsys.readouterr()
    assert main([*words, "--max-new-tokens", "7"]) == 0
    said = capsys.readouterr()
    assert said.out == "[GEN]\n" and "note: [GEN]: its decoder 'pictures' is not there" in said.err
