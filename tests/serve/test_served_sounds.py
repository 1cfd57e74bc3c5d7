"""Sounds in requests: OpenAI's and vLLM's parts, beside pictures, from files and the web; refusals."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import hearing, tiny
from tests.serve.served import Served, says, serving, shows

NAME = "nano"
OPTIONS: dict[str, Any] = {"max_tokens": 6, "temperature": 0}


def hears(data: bytes, form: str = "wav") -> dict[str, Any]:
    coded = base64.b64encode(data).decode()
    return {"type": "input_audio", "input_audio": {"data": coded, "format": form}}


def address(data: bytes) -> dict[str, Any]:
    coded = base64.b64encode(data).decode()
    return {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{coded}"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sounds")
    (root / "a.wav").write_bytes(hearing.sound(0.5, 2))
    return root


@pytest.fixture(scope="module")
def ears(folder: Path) -> Iterator[Served]:
    with serving(made=hearing.chat_model, media_root=folder) as server:
        yield server


def body(*parts: Any) -> dict[str, Any]:
    return {"model": NAME, "messages": says(*parts), **OPTIONS}


def said(server: Served, *parts: Any) -> str:
    reply = server.post("/v1/chat/completions", body(*parts))
    assert reply.status_code == 200, reply.text
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


def test_the_openai_client_sends_a_sound(ears: Served) -> None:
    data = hearing.sound(0.5, 2)
    reply = ears.client().chat.completions.create(
        model=NAME, messages=says(hears(data), "how many circles"), **OPTIONS
    )
    alone = ears.alone.chat("how many circles", audios=data, max_new_tokens=6)
    assert reply.choices[0].message.content == alone
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == len(hearing.prompt("how many circles", data).ids)


def test_every_way_to_name_a_sound_is_the_same(ears: Served) -> None:
    data = hearing.sound(0.5, 2)
    ways = [hears(data), address(data), {"type": "audio_url", "audio_url": {"url": "a.wav"}}]
    assert len({said(ears, way, "how many circles") for way in ways}) == 1


def test_a_picture_and_two_sounds(ears: Served) -> None:
    one, other, picture = hearing.sound(0.5, 2), hearing.sound(1.0, 1), tiny.picture(1)
    text = said(ears, shows(picture), hears(one), hears(other), "the red circle?")
    assert text == ears.alone.chat("the red circle?", picture, audios=[one, other], max_new_tokens=6)


def test_a_stream_and_the_prompt_s_view(ears: Served) -> None:
    data = hearing.sound(1.0, 2)
    stream = ears.client().chat.completions.create(
        model=NAME, messages=says(hears(data), "blue"), stream=True, **OPTIONS
    )
    pieces = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert pieces == said(ears, hears(data), "blue")
    seen = ears.post("/tokenize", {"model": NAME, "messages": says(hears(data), "blue")}).json()
    assert "<audio><AUDIO_CONTEXT>*25</audio>" in str(seen)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (hears(b"no sound at all, only words"), "broken, or no wav, mp3"),
        ({"type": "input_audio", "input_audio": {"data": "????", "format": "wav"}}, "not valid base64"),
        ({"type": "input_audio", "input_audio": {"data": "UklG"}}, "format=None is unknown"),
        ({"type": "input_audio", "input_audio": {"data": "UklG", "from": "me"}}, "from is no field here"),
        ({"type": "audio_url", "audio_url": {"url": "https://a.b/c.mp3"}}, "nothing is fetched from the web"),
        ({"type": "audio_url", "audio_url": {"url": "../a.wav"}}, "no file below the server's media folder"),
        (hears(hearing.sound(5.0)), "5.00 s, this model hears at most 4 s at once"),
    ],
)
def test_what_is_refused_says_why(ears: Served, part: Any, words: str) -> None:
    status, _, message = ears.refusal(body(part, "what?"))
    assert status == 400 and words in message and "\n" not in message


def test_a_model_without_ears_says_so(served: Served) -> None:
    status, _, message = served.refusal(body(hears(hearing.sound(0.5)), "what?"))
    assert status == 400 and "this model does not hear; open one that does" in message


def test_raw_prompts_hold_no_placeholder(ears: Served) -> None:
    asked = {"model": NAME, "prompt": "a<AUDIO_CONTEXT>b", "max_tokens": 2}
    status, _, message = ears.refusal(asked, "/v1/completions")
    assert status == 400 and "holds the token of a picture or sound" in message
