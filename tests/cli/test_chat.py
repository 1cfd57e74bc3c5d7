"""`tessera chat` from the command line: answers, conversations, one-line errors."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tessera.chat.message import Conversation
from tessera.checkpoints.save import save_checkpoint
from tessera.cli import chat
from tessera.cli.main import main, parse
from tessera.cli.question import Media
from tessera.engine.answer import AnswerStream
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.ticket import Event
from tests.engine import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    return save_checkpoint(place, tiny.model(), tiny.family(), tiny.tokenizer())


@pytest.fixture
def picture(tmp_path: Path) -> str:
    tiny.picture(1, 40, 20).save(tmp_path / "one.png")
    return str(tmp_path / "one.png")


def attach(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    """A terminal on which these lines are typed."""
    typed: Iterator[str] = iter(lines)

    def read(prompt: str = "") -> str:
        for line in typed:
            return line
        raise EOFError

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def run(folder: Path, *arguments: str) -> int:
    return main(["chat", "--model", str(folder), "--max-new-tokens", "8", *arguments])


def answer(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(folder, *arguments) == 0
    return capsys.readouterr().out


def test_one_answer(folder: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = answer(folder, capsys, picture, "how many?")
    assert first.strip()
    assert answer(folder, capsys, "--image", picture, "how many?") == first
    assert answer(folder, capsys, "--image", picture, "how", "many?") == first
    assert answer(folder, capsys, "how many?") != first, "the picture must reach the model"


@pytest.mark.parametrize("order", ["PMQ", "MPQ", "PQM", "QMP"])
def test_options_may_stand_anywhere(
    order: str, folder: Path, picture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tessera chat PICTURE --model X "question"` once failed: words before and after an option."""
    words = {"P": [picture], "M": ["--model", str(folder), "--json"], "Q": ["how many?"]}
    assert main(["chat", *(word for key in order for word in words[key]), "--max-new-tokens=4"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["question"] == "how many?" and facts["tiles"] == [3] and facts["new_tokens"] <= 4


def test_words_keep_their_order_and_values() -> None:
    """A value that looks like an option is a value, and all behind "--" are words."""
    given = ["a.png", "--temperature", "-1", "--json", "b.png", "--seed=3", "why", "--", "--model", "?"]
    command = parse(["chat", *given])
    assert isinstance(command, chat.ChatCommand) and command.json
    assert command.words == ("a.png", "b.png", "why", "--model", "?")
    assert (command.sampling.temperature, command.sampling.seed) == (-1, 3)
    assert main(["chat", "--model"]) == 2


def test_what_was_opened_is_said_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "how many?") == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("nano_model · tessera layout") and len(shown.err.splitlines()) == 1


def test_clips_are_bounded(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(6):
        tiny.picture(index).save(tmp_path / f"frame_{index}.png")
    clip = ["--video", str(tmp_path), "--json", "--frames", "3"]
    whole = json.loads(answer(folder, capsys, *clip, "which?"))
    assert whole["tiles"] == [1, 1, 1]
    part = json.loads(answer(folder, capsys, *clip, "which?", "--start", "4", "--end", "5"))
    assert part["tiles"] == [1, 1, 1] and part["answer"] != whole["answer"]
    assert run(folder, *clip, "which?", "--start", "40") == 2
    assert "start=40" in capsys.readouterr().err


def test_int8_and_the_map_say_what_they_did(
    folder: Path, picture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(folder, capsys, picture, "how many?", "--int8", "--device-map", "split").strip()


def test_json_names_every_setting(folder: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = answer(folder, capsys, picture, "--json", "--temperature", "0.5", "--seed", "3")
    facts = json.loads(out)
    assert facts["question"] == "describe the picture."
    assert facts["finish"] in ("stop", "length") and facts["tiles"] == [3]
    assert facts["settings"]["template"] == "internvl2_5"
    assert (facts["settings"]["temperature"], facts["settings"]["seed"]) == (0.5, 3)


def test_several_pictures_and_a_clip(folder: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    frames = Path(picture).parent / "frames"
    frames.mkdir()
    for index in range(4):
        tiny.picture(index).save(frames / f"frame_{index}.png")
    media = ("--image", picture, "--image", picture, "--video", str(frames))
    facts = json.loads(answer(folder, capsys, *media, "--json", "which?"))
    assert facts["tiles"] == [3, 3] + [1] * 8


def test_a_conversation_remembers(
    folder: Path, picture: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prompts grow turn by turn, a mistake in between is one line, /reset starts over."""
    prompts: list[str] = []
    speak = chat.Talk.answer_aloud

    def listen(talk: chat.Talk, question: str, media: Media) -> str:
        said = speak(talk, question, media)
        prompts.append("|".join(f"{m.role}:{len(m.parts)}" for m in talk.messages))
        return said

    monkeypatch.setattr(chat.Talk, "answer_aloud", listen)
    lines = ["", "how many?", "/image gone.png", "/what", "", f"/image {picture}", "left?"]
    attach(monkeypatch, [*lines, "/reset", "red?", "/quit", "never"])
    assert run(folder, picture) == 0
    first = "user:3|assistant:1"
    second = first + "|user:1|assistant:1"
    third = second + "|user:3|assistant:1"
    assert prompts == [first, second, third, "user:1|assistant:1"]
    errors = capsys.readouterr().err
    assert "gone.png: no such file" in errors and "/what is no command" in errors


def test_a_question_on_a_terminal_is_answered_once(
    folder: Path, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach(monkeypatch, ["must not be read"])
    monkeypatch.setattr(chat, "converse", lambda *_: pytest.fail("no conversation was asked for"))
    assert run(folder, picture, "how many?") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png", "what?"], "gone.png: no such file"),
        (["--video", "gone.mp4"], "gone.mp4: no such file"),
        (["--temperature", "-1", "what?"], "temperature = -1.0: give 0 for greedy"),
        (["--top-p", "3", "what?"], "top_p = 3.0: give a share"),
        ([], "nothing to ask: give a picture"),
        (["--dtype", "int7", "what?"], "dtype = 'int7'"),
        (["--model", "/no/such/folder", "what?"], "/no/such/folder: no such folder"),
        (["--image", __file__, "what?"], "test_chat.py"),
        (["http://a.org/b.png", "what?"], "nothing is fetched behind your back; download it first"),
        (["--image", "https://a.org/b.png", "what?"], "nothing is fetched behind your back"),
        (["what?", "--visual-increment", "0.3"], "visual_increment = 0.3"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, *arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    *opened, told = output.err.strip().splitlines()
    assert len(opened) <= 1 and all("nano_model" in line for line in opened), "at most what was opened"
    assert message in told


def test_addresses_are_pictures_and_what_reading_loses_is_said(
    folder: Path, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`http://` was "http:/ no such file"; an X-ray was a white area without a word."""
    wanted = answer(folder, capsys, picture, "how many?")
    text = base64.b64encode(Path(picture).read_bytes()).decode()
    for word in (text, f"data:image/png;base64,{text}", f"file://{picture}"):
        assert answer(folder, capsys, word, "how many?") == wanted
        assert answer(folder, capsys, "how many?", "--image", word) == wanted
    rays = str(tmp_path / "xray.png")
    PIL.Image.fromarray(np.linspace(1000, 4000, 800).reshape(20, 40).astype(np.uint16)).save(rays)
    assert run(folder, rays, "what?") == 0
    assert "note: picture " in (told := capsys.readouterr().err) and "values 1000 to 4000" in told
    assert run(folder, rays, "what?", "--pictures.depth", "picture") == 0
    assert "note: " not in capsys.readouterr().err
    assert run(folder, rays, "what?", "--json", "--pictures.depth", "0", "4095") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["notes"] == [] and found["settings"]["pictures"] == "depth=(0.0, 4095.0)"


def test_ctrl_c_ends_the_answer_and_not_the_talk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It once ended the session and lost the whole conversation."""
    attach(monkeypatch, ["first?", "again?"])
    whole = ChatModel.stream
    said: list[list[str]] = []

    def interrupted() -> Iterator[Event]:
        yield Event("so far")
        raise KeyboardInterrupt

    def stream(self: ChatModel, asked: Conversation, **options: Any) -> AnswerStream:
        said.append([message.text for message in asked.messages])
        return whole(self, asked, **options) if len(said) > 1 else AnswerStream(interrupted(), apart=True)

    monkeypatch.setattr(ChatModel, "stream", stream)
    assert run(folder) == 0
    assert "stopped" in capsys.readouterr().err
    assert said == [["first?"], ["first?", "so far", "again?"]]


def test_answers_begin_as_asked_and_thoughts_stand_apart(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--prefill`; a thought goes to stderr, and in JSON beside the answer."""
    begun = "<think>\nit is red\n</think>\nThe circle"
    assert run(folder, "which?", "--prefill", begun) == 0
    told = capsys.readouterr()
    assert told.out.startswith("The circle") and "it is red" in told.err and "it is red" not in told.out
    assert run(folder, "which?", "--prefill", begun, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["answer"].startswith("The circle") and facts["thought"] == "it is red"
