"""`tessera chat` with sounds: which words are files, what is asked, and a model without ears."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.chat.message import Audio
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.chat import ChatCommand, Talk, turn
from tessera.cli.diff_prompt import write_messages
from tessera.cli.main import main
from tessera.cli.question import Media
from tests.engine import hearing


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.wav").write_bytes(hearing.sound(0.5))
    Path("film.mp4").write_bytes(hearing.sound(0.5))
    return tmp_path


def test_words_that_are_sounds(files: Path) -> None:
    media, question = ChatCommand(words=("a.wav", "how", "many?"), start=0.1, end=0.3).media_and_question()
    assert media.audios == (Audio(Path("a.wav"), 0.1, 0.3),) and question == "how many?"
    assert media.default_question == "what do you hear?"
    assert Media().with_file("film.mp4", "audio").audios == (Audio(Path("film.mp4")),)
    with pytest.raises(ValueError, match="none.mp3: no such file"):
        ChatCommand(words=("none.mp3",)).media_and_question()
    with pytest.raises(ValueError, match="sounds are not compared"):
        write_messages("a", media, None)


def test_a_sound_is_asked_about(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(files / "omni", hearing.model(), hearing.family(), hearing.tokenizer())
    given = [
        "chat",
        "a.wav",
        "how many circles",
        "--model",
        "omni",
        "--max-new-tokens",
        "6",
        "--device",
        "cpu",
    ]
    assert main(given) == 0
    expected = hearing.chat_model().chat("how many circles", audios="a.wav", max_new_tokens=6)
    assert capsys.readouterr().out.strip() == expected
    talk = Talk(hearing.chat_model(), {"max_new_tokens": 6})
    assert turn(talk, turn(talk, Media(), "/audio a.wav"), "how many circles") == Media()
    assert capsys.readouterr().out.strip() == expected


def test_a_model_without_ears_refuses_in_one_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "a.wav", "what?", "--device", "cpu"]) != 0
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "audio: this model does not hear; open one that does (InternOmni), or leave the sounds out" in said
