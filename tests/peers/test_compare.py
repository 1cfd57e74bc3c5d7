"""Alignment of two prompts: pictures as one symbol, differences with their surroundings."""

from __future__ import annotations

from collections.abc import Callable

import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Message, Text, ask
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.imaging.grid import Tiling
from tessera.peers.compare import EnginePrompt, compare, our_prompt, with_tiles

WIDE = PIL.Image.new("RGB", (1280, 720), (0, 90, 0))
PER_TILE = 16


@pytest.fixture
def tokenizer(real_tokenizer: Callable[[str], Tokenizer]) -> Tokenizer:
    return real_tokenizer("internvl3")


def prompt(tokenizer: Tokenizer, question: str = "What is it?", **options: object) -> EnginePrompt:
    given = {"system_text": None, **options}
    tiling = Tiling(tile_side=448, max_tiles=given.pop("max_tiles", 12))  # type: ignore[arg-type]
    encoder = Encoder(tokenizer, TEMPLATES["internvl2_5"], tiling, PER_TILE, **given)  # type: ignore[arg-type]
    return our_prompt(encoder, Conversation((ask(question, [WIDE]),)))


def test_the_same_prompt(tokenizer: Tokenizer) -> None:
    ours = prompt(tokenizer)
    assert ours.tiles == (9,)  # 4 x 2 and the thumbnail
    theirs = with_tiles(EnginePrompt("peer", ours.tokens, ours.ids), tokenizer, PER_TILE)
    assert theirs.tiles == (9,)
    found = compare(ours, theirs, tokenizer)
    assert (found.same, found.compared, found.differences) == (True, "ids", ())


def test_a_missing_system_text_and_another_grid(tokenizer: Tokenizer) -> None:
    """docs/prompts.md: no system sentence, and a grid of another size; nothing else is reported."""
    ours = prompt(tokenizer)
    other = prompt(tokenizer, max_tiles=2)
    assert other.ids is not None
    start = tokenizer.token_id("<|im_start|>")
    cut = other.ids[other.ids.index(start, 1) :]
    theirs = with_tiles(EnginePrompt("peer", len(cut), cut), tokenizer, PER_TILE)
    assert theirs.tiles == (3,)
    found = compare(ours, theirs, tokenizer)
    assert not found.same
    first, second = found.differences
    assert (first.ours_at, first.theirs_at, first.theirs) == (0, 0, "")
    assert first.ours.startswith("<|im_start|>system\n你是书生") and first.ours.endswith("<|im_end|>\n")
    assert (second.ours, second.theirs) == ("<IMG_CONTEXT>*144", "<IMG_CONTEXT>*48")
    assert second.before.endswith("<|im_start|>user\n<img>")
    assert second.behind.startswith("</img>\nWhat is it?")
    assert ours.ids is not None
    assert ours.ids[second.ours_at - 1] == tokenizer.token_id("<img>")
    assert cut[second.theirs_at - 1] == tokenizer.token_id("<img>")


def test_words_that_differ_are_shown_with_their_surroundings(tokenizer: Tokenizer) -> None:
    found = compare(prompt(tokenizer), prompt(tokenizer, "What was it?"), tokenizer)
    (difference,) = found.differences
    assert (difference.ours, difference.theirs) == (" is", " was")
    assert difference.before.endswith("\nWhat") and difference.behind.startswith(" it?<|im_end|>")


def test_an_end_that_is_missing_and_ids_beyond_the_vocabulary(tokenizer: Tokenizer) -> None:
    ours = prompt(tokenizer)
    assert ours.ids is not None
    short = ours.ids[:-3]
    (difference,) = compare(ours, EnginePrompt("peer", len(short), short), tokenizer).differences
    assert (difference.theirs, difference.theirs_at) == ("", len(short))
    assert difference.ours == "<|im_start|>assistant\n"
    strange = (*ours.ids, 999_999)
    (difference,) = compare(ours, EnginePrompt("peer", len(strange), strange), tokenizer).differences
    assert difference.theirs == "<id 999999>"


def test_without_ids_the_number_of_tokens_decides(tokenizer: Tokenizer) -> None:
    ours = prompt(tokenizer)
    assert compare(ours, EnginePrompt("peer", ours.tokens), tokenizer).same
    found = compare(ours, EnginePrompt("peer", ours.tokens - 1), tokenizer)
    assert (found.same, found.compared) == (False, "count")


def test_tiles_of_another_size_are_noted(tokenizer: Tokenizer) -> None:
    ours = prompt(tokenizer)
    found = with_tiles(EnginePrompt("peer", ours.tokens, ours.ids), tokenizer, 100)
    assert found.tiles is None
    assert "no multiples of 100" in found.notes[0]


def test_two_pictures_side_by_side_count_apart(tokenizer: Tokenizer) -> None:
    encoder = Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(), PER_TILE)
    talk = Conversation((Message("user", (Image(WIDE, 1), Image(WIDE, 2), Text("?"))),))
    ours = our_prompt(encoder, talk)
    again = with_tiles(EnginePrompt("peer", ours.tokens, ours.ids), tokenizer, PER_TILE)
    assert again.tiles == ours.tiles == (1, 3)


def test_as_dict_leaves_the_whole_prompts_out(tokenizer: Tokenizer) -> None:
    value = compare(prompt(tokenizer), prompt(tokenizer, "Who?"), tokenizer).as_dict()
    assert value["same"] is False and value["ours"]["tiles"] == (9,)
    assert "ids" not in value["ours"]
    assert value["differences"][0]["ours"]
