"""Whatever a client sends, the server answers with 200 or a 4xx in OpenAI's shape, and stays well."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.serve.forms.chat import ChatBody
from tessera.serve.forms.completions import CompletionBody
from tessera.serve.forms.responses import ResponseBody
from tessera.serve.forms.selection import SelectionBody
from tests.engine import tiny
from tests.serve.served import CHAT, Served, data_address

PICTURE = data_address(tiny.picture(1, 60, 30))
TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "<image>",
        "<IMG_CONTEXT>",
        "<|im_end|>",
        "\0",
        "\ud800",
        "‮",
        PICTURE,
        PICTURE[:-30],
        "data:,",
        "/etc/passwd",
    ]
)
NUMBERS = st.sampled_from([0, 1, -1, 2, 3, 0.5, 1.0, 1e308, -0.0, 2**31, 2**63, 2**70, True, 10**25])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "text",
    "image_url",
    "video_url",
    "type",
    "url",
    "detail",
    "max_tiles",
    "frames",
    "fps",
    "start",
    "end",
]


def objects(names: list[str], more: dict[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of these names with values of any kind, or of the right one."""
    right = more or {}
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=4).flatmap(
        lambda drawn: st.fixed_dictionaries({}, optional=right).map(lambda chosen: drawn | chosen)
    )


ADDRESSES = objects(["url", "detail", "max_tiles", "frames"], {"url": TEXTS | st.just(PICTURE)})
PARTS = objects(
    NAMES,
    {
        "type": st.sampled_from(["text", "image_url", "video_url", "image", "video", "audio"]),
        "text": TEXTS,
        "image_url": ADDRESSES | TEXTS,
        "video_url": ADDRESSES | st.lists(TEXTS | st.just(PICTURE), max_size=3),
    },
)
ROLES = st.sampled_from(["user", "assistant", "system", "developer", "tool", ""])
MESSAGES = objects(
    ["role", "content", "name", "tool_calls", "weight"],
    {"role": ROLES, "content": TEXTS | st.lists(PARTS, max_size=3)},
)
SELECTIONS = objects(
    list(SelectionBody.model_fields),
    {
        "method": st.sampled_from(["majority", "best_of"]),
        "n": st.integers(1, 9),
        "vote": st.sampled_from(["count", "logprob", "critic"]),
        "ties": st.sampled_from(["first", "logprob"]),
        "prompt": st.sampled_from(["en", "en_v2", "zh_r1"]),
    },
)
ASKED = st.fixed_dictionaries(
    {"max_tokens": st.integers(1, 3) | VALUES},
    optional={name: VALUES for name in ChatBody.model_fields if name not in ("messages", "max_tokens")}
    | {"selection": SELECTIONS | VALUES},
)
TALKS = st.lists(MESSAGES, max_size=3) | VALUES
SOUND = st.just([{"role": "user", "content": "is it red?"}])


def check(served: Served, path: str, body: Any) -> None:
    content = json.dumps(body).encode()
    reply = served.http.post(path, content=content, headers={"content-type": "application/json"})
    assert reply.status_code == 200 or 400 <= reply.status_code < 500, (reply.text, body)
    if reply.status_code != 200:
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
        assert len(reply.content) < 5000, "what was sent does not come back whole"
    elif body.get("stream") is True:
        assert '"error":{' not in reply.text and ("[DONE]" in reply.text or '"response.' in reply.text)
    served_well(served)


def served_well(served: Served) -> None:
    """Nothing is held once an answer is there."""
    assert served.front.preparer.work.out == {"tokens": 0, "tiles": 0} and served.front.gate.count <= 1


EXAMPLES = int(os.environ.get("TESSERA_FUZZ", "20"))
"""Of each kind; more by hand."""
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@FUZZ
@given(TALKS | SOUND, ASKED)
def test_talks(served: Served, talk: Any, asked: dict[str, Any]) -> None:
    check(served, CHAT, asked | {"messages": talk})


@FUZZ
@given(
    TALKS | SOUND | TEXTS,
    st.fixed_dictionaries(
        {"max_output_tokens": st.integers(1, 3)},
        optional={
            name: VALUES for name in ResponseBody.model_fields if name not in ("input", "max_output_tokens")
        },
    ),
)
def test_responses(served: Served, given_input: Any, asked: dict[str, Any]) -> None:
    check(served, "/v1/responses", asked | {"input": given_input})


@FUZZ
@given(
    TEXTS | st.lists(st.integers(-1, 400), max_size=4) | VALUES,
    st.fixed_dictionaries(
        {"max_tokens": st.integers(1, 3)},
        optional={
            name: VALUES for name in CompletionBody.model_fields if name not in ("prompt", "max_tokens")
        },
    ),
)
def test_raw_prompts(served: Served, prompt: Any, asked: dict[str, Any]) -> None:
    check(served, "/v1/completions", asked | {"prompt": prompt})


@FUZZ
@given(
    objects(
        ["messages", "prompt", "model", "max_tiles", "visual_increment"], {"messages": TALKS, "prompt": TEXTS}
    )
)
def test_tokenize(served: Served, body: dict[str, Any]) -> None:
    check(served, "/tokenize", body)


@FUZZ
@given(st.binary(max_size=200), st.integers(0, 10_000), st.binary(max_size=8))
def test_damaged_pictures(served: Served, garbage: bytes, place: int, damage: bytes) -> None:
    """Bytes of a real picture changed, and bytes that never were one."""
    good = base64.b64decode(PICTURE.partition(",")[2])
    place %= len(good)
    for content in (good[:place] + damage + good[place + len(damage) :], garbage):
        address = "data:image/png;base64," + base64.b64encode(content).decode()
        part = {"type": "image_url", "image_url": {"url": address}}
        check(served, CHAT, {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1})
