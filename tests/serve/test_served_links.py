"""Links in answers of the server, whole and streamed, and clients that know nothing of them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import PIL.Image
import pytest

from tessera.checkpoints.load import Loaded
from tessera.engine.chat_model import ChatModel
from tessera.engine.links.decoders import LinkRequest, LinkResult
from tessera.imaging.masks.rle import decode_mask
from tests.engine import linked, tiny
from tests.serve.served import CHAT, NAME, Served, says, serving, shows

SEG, GEN = (linked.tokenizer().token_id(name) for name in ("[SEG]", "[GEN]"))
TALK = says("where?", shows(tiny.picture(1, 60, 30)))
TWO = {"logit_bias": {str(SEG): 100.0}, "max_tokens": 8}


def painted(link: LinkRequest) -> LinkResult:
    """A decoder that opens the request's own file."""
    return LinkResult(pictures=(link.pictures[0].picture(),), boxes=((0.0, 0.25, 0.5, 1.0),))


def made() -> ChatModel:
    said = {"family": linked.family(), "tokenizer": linked.tokenizer(), "folder": Path("nowhere")}
    model = ChatModel(Loaded(**said, model=linked.model(), encoder=linked.encoder()))
    model.register_decoder("pictures", painted)
    return model


@pytest.fixture(scope="module")
def linking() -> Iterator[Served]:
    with serving(made=made) as server:
        yield server


def png(address: str) -> PIL.Image.Image:
    head, _, data = address.partition(",")
    assert head == "data:image/png;base64"
    return PIL.Image.open(io.BytesIO(base64.b64decode(data)))


def test_masks_of_a_whole_answer(linking: Served) -> None:
    body = {"model": NAME, "messages": TALK, "n": 2, **TWO}
    choices = linking.post(CHAT, body).json()["choices"]
    for choice in choices:
        assert choice["message"]["content"] == "[SEG][SEG]"
        assert [link["place"] for link in choice["links"]] == [0, 1]
        (mask,) = choice["links"][0]["masks"]
        pixels = decode_mask({"size": mask["size"], "counts": mask["counts"]})
        assert pixels.shape == (30, 60) and mask["picture"] == 0
        assert np.array_equal(np.asarray(png(mask["url"]).convert("L")) > 0, pixels)
    options = {"logit_bias": {SEG: 100.0}, "max_new_tokens": 8}
    alone = linking.alone.chat(TALK, **options)
    served = decode_mask(choices[0]["links"][1]["masks"][0])
    assert np.array_equal(alone.links[1].result.masks[0].pixels, served)


def test_masks_in_a_stream(linking: Served) -> None:
    """Each link comes once, in a chunk of its choice, and before the reason to end."""
    body = {"model": NAME, "messages": TALK, "stream": True, **TWO}
    events = [line.removeprefix("data: ") for line in linking.post(CHAT, body).text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events]
    whole = linking.post(CHAT, {"model": NAME, "messages": TALK, **TWO}).json()["choices"][0]["links"]
    assert [link for choice in choices for link in choice.get("links", ())] == whole
    assert choices[-1]["finish_reason"] == "length" and "links" not in choices[-1]


def test_clients_that_know_nothing_of_links(linking: Served) -> None:
    client: openai.OpenAI = linking.client()
    talk: Any = TALK
    done = client.chat.completions.create(model=NAME, messages=talk, logit_bias={str(SEG): 100}, max_tokens=8)
    assert done.choices[0].message.content == "[SEG][SEG]" and len(done.choices[0].links) == 2  # type: ignore[attr-defined]
    pieces = client.chat.completions.create(
        model=NAME, messages=talk, logit_bias={str(SEG): 100}, max_tokens=8, stream=True
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "[SEG][SEG]"
    plain = client.chat.completions.create(model=NAME, messages=talk, max_tokens=1)
    assert "links" not in plain.model_dump()["choices"][0]


def test_other_decoders_and_their_faults(linking: Served) -> None:
    """A decoder reads the request's file, which lies on the server's disk, when the answer is there."""
    body = {"model": NAME, "messages": TALK, "logit_bias": {str(GEN): 100.0}, "max_tokens": 7}
    (link,) = linking.post(CHAT, body).json()["choices"][0]["links"]
    assert png(link["pictures"][0]).size == (60, 30) and link["boxes"] == [[0.0, 0.25, 0.5, 1.0]]
    blind = {**body, "messages": says("where?"), "logit_bias": {str(SEG): 100.0}}
    told = linking.post(CHAT, blind).json()["choices"][0]["links"]
    assert {link["fault"] for link in told} == {
        "[SEG]: a mask needs a picture; the question has none, ask about one"
    }
