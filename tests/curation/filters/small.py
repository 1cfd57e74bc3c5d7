"""Small manifests, stand-ins for a model, and a server that speaks like one, for the tests of the filter."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.models.scorer import Keep, Reply
from tessera.curation.filters.run import Run
from tessera.curation.filters.sources import open_filtered
from tessera.records.manifest import read_meta


def turns(question: str, answer: str) -> dict[str, Any]:
    """A record of one question and its answer."""
    talk = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": question, "conversations": talk}


def write_source(folder: Path, name: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write the records of a source; returns its entry of a manifest."""
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"root": ".", "annotation": f"{name}.jsonl", "data_augment": False, "repeat_time": 2}


def write_manifest(folder: Path, **sources: Sequence[dict[str, Any]]) -> Path:
    """A manifest of some sources."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {name: write_source(folder, name, records) for name, records in sources.items()}
    file = folder / "manifest.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    return file


def open_run(manifest: Path, out: Path, config: FilterConfig | None = None, **settings: Any) -> Run:
    """A run over a manifest."""
    config = config or FilterConfig()
    return Run(open_filtered(read_meta(manifest), config), config, out, **settings)


def rows(run: Run) -> list[dict[str, Any]]:
    """All rows of a run."""
    return [
        json.loads(line) for line in (run.out / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def silent(*_: object) -> None:
    """Progress that nobody sees."""


class FakeScorer:
    """Answers by a function of the prompt; remembers what was asked; may die after some prompts."""

    name = "fake"

    def __init__(self, answer: Callable[[str], str], dies_after: int | None = None) -> None:
        self.answer = answer
        self.prompts: list[str] = []
        self.dies_after = dies_after
        self.ahead = 0

    def replies(self, prompts: Iterable[str | None], keep: Keep) -> Iterator[Reply | None]:
        """One at a time."""
        for prompt in prompts:
            if prompt is None:
                yield None
                continue
            if len(self.prompts) == self.dies_after:
                raise KeyboardInterrupt
            self.prompts.append(prompt)
            reply = Reply(self.answer(prompt), 100, 10)
            keep(prompt, reply)
            yield reply


class FakeServer:
    """What a server saw and how it answers: `answer` takes the prompt and the number of the request."""

    def __init__(self, answer: Callable[[str, int], tuple[int, str]]) -> None:
        self.answer = answer
        self.prompts: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.busy = 0
        self.most_busy = 0
        self.lock = threading.Lock()
        self.address = ""


@contextmanager
def serve(server: FakeServer) -> Iterator[FakeServer]:
    """Run the server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, {"data": [{"id": "listed-model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = body["messages"][0]["content"]
            with server.lock:
                server.prompts.append(prompt)
                server.headers.append(dict(self.headers))
                number = len(server.prompts)
                server.busy += 1
                server.most_busy = max(server.most_busy, server.busy)
            status, text = server.answer(prompt, number)
            with server.lock:
                server.busy -= 1
            message = {"choices": [{"message": {"content": text}}]}
            self._send(status, {**message, "usage": {"prompt_tokens": 7, "completion_tokens": 3}})

        def _send(self, status: int, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.address = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
