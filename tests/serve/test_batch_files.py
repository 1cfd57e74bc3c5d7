"""`tessera run`: a file of requests through the server's application, across interruptions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import tessera
from tessera.cli.main import main
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.service import Service
from tessera.runtime.interrupt import ProcessLost, Stop
from tessera.serve.app import build_app
from tessera.serve.batch.answers import AnswerFile
from tessera.serve.batch.requests import BatchFile
from tessera.serve.batch.runner import BatchCounts, BatchRunner
from tessera.serve.front import Front
from tessera.serve.settings import ServeSettings
from tests.engine import tiny
from tests.serve.served import CHAT, nano, says, shows


def line(name: str, body: Any, url: str = CHAT, **more: Any) -> dict[str, Any]:
    """A request as it is written down."""
    return {"custom_id": name, "method": "POST", "url": url, "body": body, **more}


def asks(text: str, **more: Any) -> dict[str, Any]:
    """A short answer is asked for."""
    return {"messages": says(text), "max_tokens": 4, **more}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    """A file of requests."""
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return path


def told(path: Path) -> dict[str, dict[str, Any]]:
    """Answers by their custom_id; each line is whole and stands once."""
    lines = [json.loads(one) for one in path.read_text().split("\n")[:-1]]
    assert len({one["custom_id"] for one in lines}) == len(lines)
    return {one["custom_id"]: one for one in lines}


@pytest.fixture(scope="module")
def model() -> ChatModel:
    return nano()


@pytest.fixture
def front(model: ChatModel, tmp_path: Path) -> Iterator[Front]:
    with Service(model.engine) as service:
        made = Front(model, service, ServeSettings(name="nano", media_root=tmp_path))
        yield made
        made.preparer.close()


def answered(
    front: Front,
    asked: Path,
    out: Path,
    stop: Stop | None = None,
    heard: Callable[[BatchCounts], object] = lambda _: None,
    at_once: int = 8,
) -> BatchCounts:
    """Run a file."""
    requests = BatchFile(asked, "nano")
    with AnswerFile(out, requests.lines) as answers:
        runner = BatchRunner(build_app(front), at_once)
        return asyncio.run(runner.run(requests, answers, heard, stop or Stop()))


def test_pictures_texts_and_mistakes_side_by_side(front: Front, tmp_path: Path) -> None:
    """Every answer is that of `chat`; every mistake has its own status, in the server's words."""
    picture = tiny.picture(1, 64, 64)
    picture.save(tmp_path / "a.png")
    other: list[dict[str, Any]] = [
        line("raw", {"prompt": "a b", "max_tokens": 3}, "/v1/completions"),
        line("responses", {"input": "a b", "max_output_tokens": 3}, "/v1/responses"),
        line("two", asks("a b", n=2)),
    ]
    wrong = {
        "outside": (line("outside", asks(shows("../a.png"))), 400, "media folder"),
        "field": (line("field", asks("a", tempreature=1)), 400, "did you mean temperature?"),
        "model": (line("model", asks("a", model="gpt-4o")), 404, "'nano' only"),
        "method": (line("method", asks("a")) | {"method": "GET"}, 400, "'GET' is not 'POST'"),
        "url": (line("url", asks("a"), "/metrics"), 400, "none of /v1/chat"),
        "body": (line("body", [1]), 400, "no JSON object"),
        "stream": (line("stream", asks("a", stream=True)), 400, "whole answers"),
        "extra": (line("extra", asks("a"), customid=1), 400, "'customid' is no field of a line"),
        "long": (line("long", asks("a", max_tokens=10**6)), 400, "positions"),
    }
    shown_inline, from_file = says(shows(picture), "what is it?"), says(shows("a.png"), "what is it?")
    good = [line("inline", {"messages": shown_inline, "max_tokens": 4})]
    good += [line("file", {"messages": from_file, "max_tokens": 4}), line("text", asks("hello"))]
    asked = write(tmp_path / "in", *good, "", *other, *(bad for bad, _, _ in wrong.values()))
    counts = answered(front, asked, tmp_path / "out")
    found = told(tmp_path / "out")
    assert list(found) != [] and set(found) == {one["custom_id"] for one in (*good, *other)} | set(wrong)
    alone = nano()
    for name, talk in (("inline", shown_inline), ("file", shown_inline), ("text", says("hello"))):
        response = found[name]["response"]
        assert response["status_code"] == 200 and found[name]["error"] is None
        message = response["body"]["choices"][0]["message"]
        assert message["content"] == alone.chat(talk, max_new_tokens=4)
    assert len(found["two"]["response"]["body"]["choices"]) == 2
    assert found["responses"]["response"]["body"]["object"] == "response"
    for name, (_, status, words) in wrong.items():
        error = found[name]["response"]["body"]["error"]
        assert (found[name]["response"]["status_code"], words in error["message"]) == (status, True), error
        assert set(error) == {"message", "type", "param", "code"}
    usages = [one["response"]["body"].get("usage", {}) for one in found.values()]
    said = sum(usage.get("completion_tokens", usage.get("output_tokens", 0)) for usage in usages)
    assert counts == BatchCounts(15, 0, 6, 9, counts.prompt_tokens, said) and said > 0


def test_a_run_that_is_stopped_goes_on_where_it_was(front: Front, tmp_path: Path) -> None:
    asked = write(
        tmp_path / "in", *(line(str(n), asks(f"say {n}", seed=n, temperature=1.0)) for n in range(9))
    )
    whole = answered(front, asked, tmp_path / "whole")
    assert whole.answered == 9
    stop = Stop()

    def heard(counts: BatchCounts) -> None:
        stop.asked = counts.answered >= 3

    first = answered(front, asked, tmp_path / "out", stop, heard, at_once=1)
    assert first.answered == 3
    before = (tmp_path / "out").read_bytes()
    torn = (tmp_path / "whole").read_bytes().splitlines(keepends=True)[-1]
    with (tmp_path / "out").open("ab") as stream:
        stream.write(torn[: len(torn) // 2])
    again = answered(front, asked, tmp_path / "out")
    assert (again.kept, again.answered, again.done) == (3, 6, 9)
    assert (tmp_path / "out").read_bytes().startswith(before), "answers that were there are kept"

    def words(path: Path) -> dict[str, str]:
        return {k: v["response"]["body"]["choices"][0]["message"]["content"] for k, v in told(path).items()}

    assert words(tmp_path / "out") == words(tmp_path / "whole")


@pytest.mark.parametrize("tail", ["half", "begun", "zeros", "nothing"])
def test_what_an_interruption_leaves(tmp_path: Path, tail: str) -> None:
    """The last line may be torn at any byte, or be zeros that were never written."""
    asked = BatchFile(write(tmp_path / "in", line("a", asks("a")), line("b", asks("b"))), "")
    with AnswerFile(out := tmp_path / "out", asked.lines) as answers:
        answers.add(asked.lines["a"], 200, {"é": "\n\u2028"})
        whole = out.read_bytes()
        answers.add(asked.lines["b"], 200, {})
    second = out.read_bytes()[len(whole) :]
    out.write_bytes(
        whole + {"half": second[:-1], "begun": second[:5], "zeros": b"\0" * 9, "nothing": b""}[tail]
    )
    with AnswerFile(out, asked.lines) as answers:
        assert answers.done == {"a"}
        answers.add(asked.lines["b"], 400, {})
    assert out.read_bytes().startswith(whole) and set(told(out)) == {"a", "b"}
    with AnswerFile(out, asked.lines, again=True) as answers:
        assert answers.done == {"a"} and out.read_bytes() == whole


def test_files_that_are_something_else_stay_as_they_are(tmp_path: Path) -> None:
    asked = BatchFile(write(tmp_path / "in", line("a", asks("a"))), "")
    other = BatchFile(tmp_path / "in", "another model")
    out = tmp_path / "out"
    with AnswerFile(out, asked.lines) as answers:
        with pytest.raises(ValueError, match="written by another run"):
            AnswerFile(out, asked.lines)
        answers.add(asked.lines["a"], 200, {})
    mine = out.read_text()
    stranger = replace(asked.lines["a"], custom_id="b")
    for content, requests, said in (
        ("my notes", asked.lines, "line 1 is no answer of a batch"),
        ('{"custom_id": "z"}\n', asked.lines, "line 1: custom_id 'z' was not asked"),
        (mine, other.lines, "line 1: 'a' was asked otherwise"),
        (mine, {"b": stranger}, "line 1: custom_id 'a' was not asked"),
        (mine * 2, asked.lines, "line 2: 'a' is answered twice"),
    ):
        out.write_text(content)
        for again in (False, True):
            with pytest.raises(ValueError, match=said):
                AnswerFile(out, requests, again)
            assert out.read_text() == content


def test_a_disk_that_refuses_leaves_no_half_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = BatchFile(write(tmp_path / "in", line("a", asks("a")), line("b", asks("b"))), "")
    real = os.write
    with AnswerFile(out := tmp_path / "out", asked.lines) as answers:
        answers.add(asked.lines["a"], 200, {})
        whole = out.read_bytes()

        def full(file: int, content: bytes) -> int:
            if len(content) < 50:
                raise OSError(28, "No space left on device")
            return real(file, content[:-40])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(ValueError, match="make room"):
            answers.add(asked.lines["b"], 200, {})
    assert out.read_bytes() == whole and answers.done == {"a"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((line("a", 1), "", line("b", 1), line("a", 2)), "line 4: custom_id 'a' is that of line 1, too"),
        ((line("a", 1), "{"), "line 2: this is no JSON"),
        (("[1]",), "line 1: this is no JSON object"),
        (({"body": {}},), "line 1: custom_id = None: give a text"),
        ((line("a", 1) | {"custom_id": 7},), "line 1: custom_id = 7: give a text"),
        (("", ""), "holds no request"),
        (["x"] * 5, "(and 2 more)"),
    ],
)
def test_lines_that_could_not_be_told_apart(
    tmp_path: Path, lines: tuple[Any, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a model is opened, in one line, with the numbers of lines; nothing is written."""
    asked, out = write(tmp_path / "in", *lines), tmp_path / "out"
    assert main(["run", str(asked), "-o", str(out), "--model", "/nowhere"]) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1 and not out.exists()


def test_requests_that_change_meanwhile(front: Front, tmp_path: Path) -> None:
    asked = write(tmp_path / "in", line("a", asks("a")), line("b", asks("b")))
    with pytest.raises(ValueError, match="has changed meanwhile"):
        answered(front, asked, tmp_path / "out", heard=lambda _: asked.write_text("x" * 500), at_once=1)
    assert len(told(tmp_path / "out")) == 1, "what was answered is kept"


def test_an_engine_that_ends(front: Front, tmp_path: Path) -> None:
    """No answer is made up for what could not be asked."""
    asked = write(tmp_path / "in", *(line(str(n), asks("a")) for n in range(4)))
    front.service.close()
    with pytest.raises(ProcessLost, match="the same command goes on"):
        answered(front, asked, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b""


def test_a_fault_of_ours_is_told_and_the_others_go_on(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measure = front.preparer.measure

    def failing(talk: Any, ask: Any) -> Any:
        if talk.messages[-1].text == "boom":
            raise KeyError("inside")
        return measure(talk, ask)

    monkeypatch.setattr(front.preparer, "measure", failing)
    asked = write(tmp_path / "in", line("a", asks("boom")), line("b", asks("hello")))
    counts = answered(front, asked, tmp_path / "out")
    assert (counts.answered, counts.failed) == (1, 1)
    failed = told(tmp_path / "out")["a"]["response"]
    assert failed["status_code"] == 500 and "inside" not in json.dumps(failed)
    assert "KeyError: 'inside'" in caplog.text


def test_the_command(tmp_path: Path) -> None:
    """The shipped model in a process of its own, with pictures beside the file."""
    folder = tmp_path / "questions"
    folder.mkdir()
    picture: PIL.Image.Image = tiny.picture(1, 64, 64)
    picture.save(folder / "a.png")
    talk = says(shows("a.png"), "how many shapes are there?")
    asked = write(folder / "in", line("a", {"messages": talk}), line("b", asks("x", model="other")))
    command = [
        sys.executable,
        "-m",
        "tessera.cli.main",
        "run",
        str(asked),
        "-o",
        str(tmp_path / "out"),
        "--json",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    summary = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert (summary["answered"], summary["failed"], summary["kept"]) == (1, 1, 0)
    body = told(tmp_path / "out")["a"]["response"]["body"]
    assert body["model"] == "scale_model"
    expected = tessera.load().chat("<image>\nhow many shapes are there?", folder / "a.png")
    assert body["choices"][0]["message"]["content"] == expected


def test_a_signal_ends_it_behind_the_answers_in_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one begins nothing new; the same command goes on."""
    asked = write(tmp_path / "in", *(line(str(n), asks(f"say {n}")) for n in range(6)))
    add = AnswerFile.add

    def interrupted(self: AnswerFile, *answer: Any) -> None:
        add(self, *answer)
        if len(self.done) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(AnswerFile, "add", interrupted)
    words = ["run", str(asked), "-o", str(tmp_path / "out"), "--at-once", "1"]
    assert main(words) == 130
    assert "4 left: the same command goes on" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(words) == 0
    assert "4 answered, 0 failed, 2 kept from before" in capsys.readouterr().out
    assert set(told(tmp_path / "out")) == set("012345")


def test_nothing_is_loaded_where_all_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = write(tmp_path / "in", line("a", asks("x"))), tmp_path / "out"
    words = ["run", str(asked), "-o", str(out)]
    assert main(words) == 0
    assert "1 answered, 0 failed" in capsys.readouterr().out
    monkeypatch.setattr(tessera, "load", lambda *_, **__: pytest.fail("the model was opened"))
    assert main(words) == 0
    assert "0 answered, 0 failed, 1 kept from before" in capsys.readouterr().out
    assert main([*words, "--temperature", "0.5"]) == 2
    assert "with other defaults" in capsys.readouterr().err
    assert main(["run", str(asked), "-o", str(asked)]) == 2
    assert "holds the requests" in capsys.readouterr().err
