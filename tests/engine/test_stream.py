"""Streaming: joined pieces are the text, no half characters, no beginning of a stop string."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.engine.stream import TextStream
from tests.engine import tiny


def pieces_of(
    tokenizer: Tokenizer, ids: list[int], stops: tuple[str, ...] = ()
) -> tuple[list[str], TextStream]:
    stream = TextStream(tokenizer, stops)
    pieces = [stream.push(token) for token in ids]
    return [*pieces, stream.flush()], stream


def test_half_characters_wait() -> None:
    ids = tiny.tokenizer().encode_plain("a🦊é")
    stream = TextStream(tiny.tokenizer())
    shown = ""
    for token in ids:
        shown += stream.push(token)
        assert "a🦊é".startswith(shown)
    assert shown == "a🦊é" and stream.flush() == ""


def test_an_unfinished_character_comes_at_the_end() -> None:
    ids = tiny.tokenizer().encode_plain("x🦊")[:-1]
    pieces, stream = pieces_of(tiny.tokenizer(), ids)
    assert "".join(pieces) == stream.text == tiny.tokenizer().decode(ids) == "x�"


def test_the_beginning_of_a_stop_string_waits() -> None:
    ids = tiny.tokenizer().encode_plain("one END")
    stream = TextStream(tiny.tokenizer(), ("ENDED",))
    assert "".join(stream.push(token) for token in ids) == "one "
    assert stream.flush() == "END"
    stream = TextStream(tiny.tokenizer(), ("ENDED",))
    ids = tiny.tokenizer().encode_plain("one ENDED two")
    assert "".join(stream.push(token) for token in ids) + stream.flush() == "one "
    assert stream.stopped and stream.text == "one "


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, tiny.tokenizer().vocab_size - 1), max_size=40))
def test_any_tokens_join_to_their_text(ids: list[int]) -> None:
    """Also invalid bytes and control tokens in any order."""
    pieces, stream = pieces_of(tiny.tokenizer(), ids)
    assert "".join(pieces) == stream.text == tiny.tokenizer().decode(ids)


@settings(max_examples=200, deadline=None)
@given(st.text("ab é", max_size=20), st.lists(st.text("ab é", min_size=1, max_size=4), max_size=3))
def test_any_stop_strings_cut_at_the_first(text: str, stops: list[str]) -> None:
    ids = [token for character in text for token in tiny.tokenizer().encode_plain(character)]
    pieces, _ = pieces_of(tiny.tokenizer(), ids, tuple(stops))
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    seen = text[: ends[0]] if ends else text
    places = [seen.index(stop) for stop in stops if stop in seen]
    assert "".join(pieces) == seen[: min(places, default=len(seen))]


@pytest.mark.parametrize("name", ["llama2", "internlm2_internvl2", "internvl3"])
def test_real_tokenizers_stream_what_they_decode(name: str, shared_data: Path) -> None:
    """LLaMA's drops the first space of a text: a piece in the middle must keep its own."""
    tokenizer = load_tokenizer(shared_data / "tokenizers" / name)
    for text in ("Hello there, 图片里有 two 🦊 foxes.\n\n  Indented", " leading space", "é"):
        ids = tokenizer.encode_plain(text)
        pieces, stream = pieces_of(tokenizer, ids)
        assert "".join(pieces) == stream.text == tokenizer.decode(ids)
        assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
