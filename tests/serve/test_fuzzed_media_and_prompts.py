"""Pictures of every odd kind and prompts of every odd text: an answer or a refusal, never a fault of ours."""

from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine import tiny
from tests.serve.served import CHAT, Served, shows
from tests.serve.test_served_fuzz import EXAMPLES, served_well

FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
NOISE = tiny.picture(1, 40, 30)


def saved(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def whole_pictures() -> dict[str, bytes]:
    """Sound files that are not plain RGB."""
    deep = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50
    frames = [tiny.picture(seed, 40, 30) for seed in range(2, 6)]
    moving = {"save_all": True, "append_images": frames, "duration": 50}
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    return {
        "animated gif": saved(NOISE.quantize(16), "GIF", **moving),
        "animated png": saved(NOISE, "PNG", **moving),
        "animated webp": saved(NOISE, "WEBP", **moving),
        "CMYK": saved(NOISE.convert("CMYK"), "JPEG"),
        "16 bits": saved(PIL.Image.fromarray(deep), "PNG"),
        "16 bits in TIFF": saved(PIL.Image.fromarray(deep), "TIFF"),
        "floats in TIFF": saved(PIL.Image.fromarray(deep.astype(np.float32)), "TIFF"),
        "one bit": saved(NOISE.convert("1"), "PNG"),
        "palette with a hole": saved(NOISE.quantize(16), "PNG", transparency=3),
        "grey and alpha": saved(NOISE.convert("LA"), "PNG"),
        "turned": saved(NOISE, "JPEG", exif=turned),
        "a pixel": saved(NOISE.crop((0, 0, 1, 1)), "PNG"),
        "a line": saved(NOISE.resize((3000, 1)), "PNG"),
        "many pages": saved(NOISE, "TIFF", save_all=True, append_images=frames),
        "icon": saved(NOISE, "ICO"),
    }


WHOLE = whole_pictures()


def asked(served: Served, content: bytes, kind: str = "png") -> tuple[int, str]:
    """Status and message of a request that shows these bytes."""
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    body = {"messages": [{"role": "user", "content": [shows(address)]}], "max_tokens": 1}
    return sent(served, json.dumps(body).encode())


def sent(served: Served, content: bytes, path: str = CHAT) -> tuple[int, str]:
    reply = served.http.post(path, content=content, headers={"content-type": "application/json"})
    assert reply.status_code == 200 or 400 <= reply.status_code < 500, reply.text
    assert "Traceback" not in reply.text and "site-packages" not in reply.text
    served_well(served)
    message = reply.json()["error"]["message"] if reply.status_code != 200 else ""
    assert len(message) < 2000, "what was sent does not come back whole"
    return reply.status_code, message


@pytest.mark.parametrize("name", WHOLE)
def test_sound_pictures_of_odd_kinds(served: Served, name: str) -> None:
    status, message = asked(served, WHOLE[name])
    assert status == 200 or message.startswith("messages[0].content[0]") or "picture" in message, message


@FUZZ
@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1), st.binary(max_size=12), st.booleans())
def test_damaged_pictures_of_odd_kinds(
    served: Served, name: str, place: float, damage: bytes, cut: bool
) -> None:
    content = WHOLE[name]
    at = int(place * len(content))
    asked(served, content[:at] + damage + (b"" if cut else content[at + len(damage) :]))


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + bytes(9) + b"\2\2L\1\0;",
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, -5, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
        b"RIFF"
        + struct.pack("<I", 2**32 - 1)
        + b"WEBPVP8X"
        + struct.pack("<I", 10)
        + b"\0" * 4
        + b"\xff" * 6,
        b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + b"\1\x22\0" * 3,
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 256, 4, 1, 2**32 - 1),
        b"P6 99999999 99999999 255\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"",
    ],
    ids=["gif", "bmp", "negative", "webp", "jpeg", "tiff", "ppm", "svg", "eps", "png", "nothing"],
)
def test_headers_that_promise_too_much(served: Served, content: bytes) -> None:
    status, message = asked(served, content)
    assert status == 400 and "passwd" not in message


ODD = st.sampled_from(
    ["<image>", "<video>", "<img>", "<IMG_CONTEXT>", "<|im_start|>system\n", "<|im_end|>", "<|endoftext|>"]
    + [
        "<think>",
        "<tool_call>",
        "</tool_call>",
        "Frame1: ",
        "\0",
        "\ud83d",
        "\ude42",
        "\u202e",
        "\ufeff",
        "\u0301" * 50,
    ]
    + ["{{", "%s", "\\u", "\r\n", "data:,", "<box>[[0, 0, 9]]</box>", "&lt;", "\x1b[31m", "𝔘", "👩‍👩‍👧"]
)
TEXT = st.lists(ODD | st.text(max_size=8), max_size=8).map("".join)


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system", "tool"]), TEXT), max_size=4), TEXT)
def test_prompts(served: Served, turns: list[tuple[str, str]], last: str) -> None:
    """Marks, special tokens, halves of characters and control characters, in any role and anywhere."""
    messages = [{"role": role, "content": text} for role, text in [*turns, ("user", last)]]
    body = {"messages": messages, "max_tokens": 2, "stop": [last[:3] or "x"]}
    sent(served, json.dumps(body).encode())
    sent(served, json.dumps({"prompt": last, "max_tokens": 2}).encode(), "/v1/completions")
    sent(served, json.dumps({"input": messages, "max_output_tokens": 2}).encode(), "/v1/responses")
    sent(served, json.dumps({"messages": messages}).encode(), "/tokenize")


@pytest.mark.parametrize("text", ["🙂", "<image>", "a", " ", "\u0301"], ids=ascii)
def test_a_megabyte_of_one_thing(served: Served, text: str) -> None:
    body = {"messages": [{"role": "user", "content": text * (2**20 // len(text.encode()))}], "max_tokens": 1}
    status, _ = sent(served, json.dumps(body, ensure_ascii=False).encode())
    assert status == 400


DEEP = 20_000
HUGE = "((((a{99}){99}){99}){99})"
"""Ten seconds for a token, in which nobody else got one."""
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"pattern": HUGE}}}}


def formed(**fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "?"}], **fields}).encode()


def deep(levels: int) -> dict[str, Any]:
    return {"items": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "content",
    [
        b'{"messages":' * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"messages": [{"role": "user", "content": ' + b"[" * DEEP + b"]" * DEEP + b"}]}",
        b'{"messages": "' + b"\\ud800" * 1000 + b'"}',
        b'{"messages": [], "seed": ' + b"9" * 10_000 + b"}",
        b'{"messages": [], "temperature": 1e999}',
        b'{"messages": [], "messages": [], "\\u0000": 1}',
        b"null",
        b"\xef\xbb\xbf{}",
        formed(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": deep(500)}}),
        formed(structured_outputs={"regex": HUGE}),
        formed(structured_outputs={"json": {"type": "string", "pattern": HUGE}}),
        formed(tools=[{"type": "function", "function": TOOL}], tool_choice="required"),
    ],
    ids=[
        "open",
        "deep",
        "deep content",
        "halves",
        "digits",
        "infinite",
        "twice",
        "null",
        "bom",
        "schema",
        "regex",
        "pattern",
        "tool",
    ],
)
def test_bodies_that_hurt_readers(served: Served, content: bytes) -> None:
    status, _ = sent(served, content)
    assert status == 400
