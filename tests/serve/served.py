"""A server with the nano model on a local port, in a thread, and pictures as clients send them."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import PIL.Image

from tessera.checkpoints.load import Loaded
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.service import Service
from tessera.serve.app import build_app
from tessera.serve.choosing import Rater
from tessera.serve.front import Front
from tessera.serve.http.server import DrainingServer, bind
from tessera.serve.media.remote import RemoteFiles
from tessera.serve.prepare import Preparer
from tessera.serve.settings import ServeLimits, ServeSettings
from tests.engine import tiny

NAME = "nano"
CHAT = "/v1/chat/completions"
WAIT = 20.0
"""Seconds: generous, for machines under load."""


@dataclass(frozen=True)
class Served:
    """A running server, and the model alone to compare with."""

    address: str
    front: Front
    server: DrainingServer
    alone: ChatModel
    http: httpx.Client

    def client(self, key: str = "nobody asks") -> openai.OpenAI:
        """The unmodified client."""
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, max_retries=0, timeout=WAIT)

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        """A body as JSON, without a client's checks."""
        return self.http.post(path, json=body, **more)

    def refusal(self, body: Any, path: str = "/v1/chat/completions") -> tuple[int, str, str]:
        """Status, code and message of a refused body."""
        reply = self.post(path, body)
        error = reply.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        return reply.status_code, error["code"], error["message"]


def nano() -> ChatModel:
    """The nano model with an engine of its own."""
    said = {"family": tiny.family(), "tokenizer": tiny.tokenizer(), "folder": Path("nowhere")}
    return ChatModel(Loaded(**said, model=tiny.model(), encoder=tiny.encoder()))


@contextmanager
def serving(
    limits: ServeLimits | None = None,
    remote: RemoteFiles | None = None,
    critic: Rater | None = None,
    made: Callable[[], ChatModel] = nano,
    **settings: Any,
) -> Iterator[Served]:
    """A server until the block is left."""
    model = made()
    chosen = ServeSettings(name=NAME, limits=limits or ServeLimits(drain_seconds=5), **settings)
    listening = bind("127.0.0.1", 0)
    with Service(model.engine) as service:
        front = Front(model, service, chosen, Preparer(model, chosen, remote), critic)
        server = DrainingServer(build_app(front), front.gate, chosen.limits, service.close)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=WAIT, trust_env=False) as http:
                yield Served(address, front, server, made(), http)
        finally:
            server.should_exit = True
            thread.join(WAIT)
            front.preparer.close()
    assert not thread.is_alive()


def data_address(picture: PIL.Image.Image) -> str:
    """A picture as clients send it."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def shows(picture: str | PIL.Image.Image, **options: Any) -> dict[str, Any]:
    """A part of a message that shows a picture."""
    address = picture if isinstance(picture, str) else data_address(picture)
    return {"type": "image_url", "image_url": {"url": address, **options}}


def says(*parts: str | dict[str, Any]) -> list[Any]:
    """A talk of one turn."""
    written = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return [{"role": "user", "content": written}]


def until(true: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@contextmanager
def connection(served: Served) -> Iterator[socket.socket]:
    """A bare connection, for what no client does."""
    host, port = served.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT) as raw:
        yield raw


def head(length: int, path: str = CHAT, *more: str) -> bytes:
    """The head of a request whose body has so many bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *more]
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()
