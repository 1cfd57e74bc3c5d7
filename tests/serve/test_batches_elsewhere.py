"""`tessera run --endpoint`: a file of requests answered by another server, here one of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tessera.cli.main import main
from tessera.runtime.http import Endpoint, RequestError, RequestLimits
from tessera.runtime.interrupt import Stop
from tessera.serve.batch.answers import AnswerFile
from tessera.serve.batch.remote import RemoteRunner
from tessera.serve.batch.requests import BatchFile
from tessera.serve.batch.runner import BatchCounts
from tests.engine import tiny
from tests.serve.served import NAME, Served, says, shows
from tests.serve.test_batch_files import asks, line, told, write

PATIENT = RequestLimits(concurrency=3, attempts=2, first_wait=0.01)


def answered(address: str, asked: Path, out: Path, model: str = NAME) -> BatchCounts:
    requests = BatchFile(asked, address)
    with AnswerFile(out, requests.lines) as answers, closing(Endpoint(address, None, PATIENT)) as endpoint:
        runner = RemoteRunner(endpoint, model, asked.parent)
        return runner.run(requests, answers, lambda _: None, Stop())


def test_answers_are_those_of_the_server_and_files_go_along(served: Served, tmp_path: Path) -> None:
    tiny.picture(1, 64, 64).save(tmp_path / "a.png")
    from_file = says(shows("a.png"), "what is it?")
    inline = says(shows(tiny.picture(1, 64, 64)), "what is it?")
    good = [line("file", {"messages": from_file, "max_tokens": 4}), line("text", asks("hello"))]
    good += [line("raw", {"prompt": "a b", "max_tokens": 3}, "/v1/completions")]
    wrong = [
        line("outside", asks(shows("../a.png"))),
        line("missing", {"messages": says(shows("b.png"), "?")}),
        line("field", asks("a", tempreature=1)),
        line("url", asks("a"), "/metrics"),
    ]
    asked = write(tmp_path / "in", *good, *wrong)
    counts = answered(served.address, asked, tmp_path / "out")
    found = told(tmp_path / "out")
    assert (counts.answered, counts.failed, counts.done) == (3, 4, 7) and counts.answer_tokens > 0
    expected = served.post("/v1/chat/completions", {"messages": inline, "max_tokens": 4}).json()
    assert found["file"]["response"]["body"]["choices"] == expected["choices"]
    for name, words in {"outside": "media root", "missing": "b.png", "field": "did you mean temp"}.items():
        assert found[name]["response"]["status_code"] == 400
        assert words in found[name]["response"]["body"]["error"]["message"]
    assert answered(served.address, asked, tmp_path / "out").kept == 7


def test_a_wrong_name_is_no_answer_but_a_request_with_its_own_is(served: Served, tmp_path: Path) -> None:
    asked = write(tmp_path / "in", line("a", asks("hello")))
    with pytest.raises(RequestError, match="404"):
        answered(served.address, asked, tmp_path / "out", model="other")
    assert not told(tmp_path / "out")
    own = write(tmp_path / "own", line("a", asks("hello", model="other")), line("b", asks("hello")))
    counts = answered(served.address, own, tmp_path / "third")
    assert (counts.answered, counts.failed) == (1, 1)


@contextmanager
def failing(after: int) -> Iterator[str]:
    """A server that answers some requests and then fails for good."""
    left = [after]
    body: dict[str, Any] = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            left[0] -= 1
            text = json.dumps(body if left[0] >= 0 else {}).encode()
            self.send_response(200 if left[0] >= 0 else 500)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_fails_midway_loses_nothing(tmp_path: Path) -> None:
    asked = write(tmp_path / "in", *(line(f"{n}", asks("a")) for n in range(12)))
    with failing(5) as address, pytest.raises(RequestError, match="500"):
        answered(address, asked, tmp_path / "out")
    kept = told(tmp_path / "out")
    assert 1 <= len(kept) <= 5
    with failing(100) as second:
        requests = BatchFile(asked, address)
        with (
            AnswerFile(tmp_path / "out", requests.lines) as answers,
            closing(Endpoint(second, None, PATIENT)) as endpoint,
        ):
            counts = RemoteRunner(endpoint, "m", tmp_path).run(requests, answers, lambda _: None, Stop())
    assert counts.kept == len(kept) and counts.done == 12
    assert len(told(tmp_path / "out")) == 12


def test_from_the_command_line(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = write(tmp_path / "in", line("a", asks("hello")), line("b", asks("a b")))
    words = ["run", str(asked), "-o", str(tmp_path / "out"), "--endpoint", served.address]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 2
    assert main([*words, "--model", "shipped"]) == 2
    assert "has its own model" in capsys.readouterr().err
    assert main(["run", str(asked), "-o", str(tmp_path / "other"), "--endpoint", "nowhere"]) == 2
    assert "'nowhere' is no address" in capsys.readouterr().err


def test_a_folder_of_frames_goes_along_in_its_order(served: Served, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for number in (2, 10, 1):
        tiny.picture(number, 64, 64).save(tmp_path / "clip" / f"frame_{number}.png")
    clip = {"type": "video_url", "video_url": {"url": "clip"}, "frames": 3}
    good = line("clip", {"messages": says(clip, "what?"), "max_tokens": 4})
    (tmp_path / "empty").mkdir()
    wrong = line("empty", {"messages": says(clip | {"video_url": {"url": "empty"}}, "what?")})
    answered(served.address, write(tmp_path / "in", good, wrong), tmp_path / "out")
    found = told(tmp_path / "out")
    frames = [shows(tiny.picture(number, 64, 64))["image_url"]["url"] for number in (1, 2, 10)]
    inline = {"messages": says({"type": "video", "video": frames, "frames": 3}, "what?"), "max_tokens": 4}
    expected = served.post("/v1/chat/completions", inline).json()
    assert found["clip"]["response"]["body"]["choices"] == expected["choices"]
    assert "it holds no pictures" in found["empty"]["response"]["body"]["error"]["message"]
