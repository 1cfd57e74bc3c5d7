"""Requests of `soak.py`: a pool of sound ones whose answers are known, and ones that must be refused."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from serving_workload import shown

from tessera.chat.encoder import Encoded
from tessera.engine.chat_model import ChatModel
from tessera.engine.sampling.options import Sampling
from tessera.playground.scene import draw_scene

CHAT, RAW, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
JSON = "Content-Type: application/json\r\n"
Part = dict[str, Any]
SIZES = ((64, 64), (96, 96), (200, 64), (192, 128))


@dataclass(frozen=True)
class Request:
    """Bytes for a path. status: of its answer. words: of a sound one. streams: the answer comes in pieces."""

    path: str
    content: bytes
    status: int = 200
    words: str = ""
    streams: bool = False
    head: str = JSON
    """Lines of the head beside the usual ones."""
    method: str = "POST"
    missing: int = 0
    """Bytes that are promised and never sent."""


@dataclass(frozen=True)
class Question:
    """A talk and how its answer is chosen, in the words of the chat endpoint."""

    messages: list[dict[str, Any]]
    fields: dict[str, Any]

    @property
    def offline(self) -> dict[str, Any]:
        """The arguments of `ChatModel.chat`."""
        fields = dict(self.fields)
        fields["max_new_tokens"] = fields.pop("max_tokens")
        fields.setdefault("temperature", 0.0)
        if "logprobs" in fields:
            fields["logprobs"] = fields.pop("top_logprobs")
        return {"question": self.messages, **fields}


def questions(count: int) -> list[Question]:
    """Texts, one and two pictures, clips, several turns; greedy or drawn with a seed."""
    found = []
    for number in range(count):
        scenes = [draw_scene("shapes", seed=900 + number + k, size=SIZES[number % 4]) for k in range(3)]
        pictures = [shown(scene.media[0].source) for scene in scenes]
        asked = [{"type": "text", "text": each.text} for each in scenes[0].questions]
        clip = {"type": "video_url", "video_url": {"url": [one["image_url"]["url"] for one in pictures]}}
        contents: list[list[Part]] = [[asked[0]], [pictures[0], asked[0]], [*pictures[:2], asked[0]]]
        contents += [[clip, asked[0]], [asked[0]], [pictures[number // 6 % 2], asked[-1]]]
        messages = [{"role": "user", "content": contents[number % 6]}]
        if number % 4 == 1:
            turns = [{"role": "assistant", "content": "red"}, {"role": "user", "content": [asked[-1]]}]
            messages = [{"role": "system", "content": "Answer in a word."}, *messages, *turns]
        found.append(Question(messages, _fields(number)))
    return found


def _fields(number: int) -> dict[str, Any]:
    """Of the chat endpoint; every kind of choosing comes with every kind of talk."""
    kinds: list[dict[str, Any]] = [
        {},
        {"ignore_eos": True},
        {"stop": ["a", "e"], "ignore_eos": True},
        {"temperature": 0.9, "top_p": 0.9, "seed": number, "ignore_eos": True},
        {"frequency_penalty": 0.7, "ignore_eos": True},
        {"logprobs": True, "top_logprobs": 2},
        {"end_loops": True, "ignore_eos": True},
    ]
    return {"max_tokens": (4, 12, 24, 48, 9)[number % 5], **kinds[number % 7]}


def sound(model: ChatModel, count: int) -> list[Request]:
    """Every question at the chat endpoint whole and streamed, and plain ones at the others; answers come from
    the engine without a server."""
    asked = questions(count)
    answers = model.batch([question.offline for question in asked])
    found = []
    for question, answer in zip(asked, answers, strict=True):
        body = {"messages": question.messages, **question.fields}
        for streams in (False, True):
            found.append(_request(CHAT, body | {"stream": streams}, answer, streams))
        if not {"stop", "logprobs", "top_logprobs"} & set(question.fields) and len(question.messages) == 1:
            fields = dict(question.fields)
            fields["max_output_tokens"] = fields.pop("max_tokens")
            found.append(_request(RESPONSES, {"input": _items(question.messages), **fields}, answer))
    found += _raw(model, [f"there are {n} big red squares" for n in range(count // 8)])
    return found + (_formed() if find_spec("llguidance") else [])


def _items(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form of the Responses API; clips have none there and stay as they are."""

    def part(one: Part) -> Part:
        if one["type"] == "text":
            return {"type": "input_text", "text": one["text"]}
        return {"type": "input_image", "image_url": one["image_url"]["url"]} if "image_url" in one else one

    return [{"role": each["role"], "content": [part(one) for one in each["content"]]} for each in messages]


def _raw(model: ChatModel, prompts: list[str]) -> Iterator[Request]:
    bos = [] if model.tokenizer.bos_id is None else [model.tokenizer.bos_id]
    side = model.encoder.tiling.tile_side
    for prompt in prompts:
        ids = np.array([*bos, *model.tokenizer.encode(prompt)], np.int32)
        none = np.zeros((0, side, side, 3), np.uint8)
        encoded = Encoded(ids, np.zeros(len(ids), np.float32), none, ())
        (done,) = model.engine.generate([encoded], Sampling(max_new_tokens=10))
        yield _request(RAW, {"prompt": prompt, "max_tokens": 10}, done.text)


def _formed() -> list[Request]:
    """An answer that can be but one text."""
    body = {"messages": [{"role": "user", "content": "which?"}], "max_tokens": 20}
    return [_request(CHAT, body | {"structured_outputs": {"choice": ["red square"]}}, "red square")]


def _request(path: str, body: dict[str, Any], words: str, streams: bool = False) -> Request:
    return Request(path, json.dumps(body).encode(), words=str(words), streams=streams)


def malformed() -> list[Request]:
    """What must be refused, each with the status that says why."""
    talk = {"messages": [{"role": "user", "content": "?"}]}

    def body(status: int, path: str = CHAT, **fields: Any) -> Request:
        return Request(path, json.dumps(talk | fields).encode(), status)

    def picture(address: str, status: int = 400) -> Request:
        part = {"type": "image_url", "image_url": {"url": address}}
        return body(status, messages=[{"role": "user", "content": [part]}])

    whole = str(shown(draw_scene("shapes", seed=1, size=(96, 96)).media[0].source)["image_url"]["url"])
    return [
        Request(CHAT, b'{"messages": [', 400),
        Request(CHAT, b"\xff\xfe", 400),
        Request(CHAT, b"[" * 100_000, 400),
        Request(CHAT, b"{}", 400),
        Request(CHAT, b"{}", 415, head="Content-Type: text/plain\r\n"),
        Request(CHAT, b"", 405, method="GET"),
        Request("/v1/nothing", b"{}", 404),
        body(404, model="another"),
        body(400, temprature=1),
        body(400, temperature=-1),
        body(400, max_tokens=10**9),
        body(400, n=99),
        body(400, stop=[""]),
        body(400, messages=[{"role": "wizard", "content": "?"}]),
        body(400, messages=[{"role": "user", "content": "x " * 60_000}]),
        body(400, messages=[{"role": "user", "content": "\U0001f642" * 1_000_001}]),
        body(400, RAW, prompt=[10**9]),
        body(400, RESPONSES, input=5),
        picture(whole[:-200]),
        picture("data:image/png;base64,%%%"),
        picture(_bomb(60_000)),
        picture(_bomb(7_000)),
        picture("/etc/passwd"),
        picture("http://169.254.169.254/latest/meta-data"),
    ]


def _bomb(side: int) -> str:
    """A few bytes whose header promises a huge picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(2**20)))
    whole = b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(whole).decode()
