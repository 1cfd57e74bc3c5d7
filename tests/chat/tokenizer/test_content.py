"""Special strings of a model's owner are tokens in questions and answers; turn markers never are."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, ask, say
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.content import ContentTokens
from tessera.chat.tokens import AddedToken
from tessera.imaging.grid import Tiling
from tests.engine import tiny

LOC, SEG, VIDEO = "<loc>", "<|seg_12|>", "<video>"


@functools.cache
def owned() -> Tokenizer:
    """The tiny tokenizer with two tokens of its owner, and a processor's placeholder."""
    return tiny.tokenizer().with_added([LOC, SEG, VIDEO])


def encoder(choice: ContentTokens = "added", tokenizer: Tokenizer | None = None) -> Encoder:
    return Encoder(
        tokenizer or owned(), TEMPLATES["internvl2_5"], Tiling(tile_side=28), 4, content_tokens=choice
    )


def ids_of(text: str, choice: ContentTokens = "added", tokenizer: Tokenizer | None = None) -> list[int]:
    talk = Conversation((ask("where"), say("assistant", text)))
    return encoder(choice, tokenizer).encode(talk).ids.tolist()


def test_tokens_of_the_owner_are_one_id_and_come_back() -> None:
    """They were cut into characters, so that their rows were never trained, and answers lost them."""
    loc, seg = owned().token_id(LOC), owned().token_id(SEG)
    ids = ids_of(f"at {LOC}5{SEG}")
    assert ids.count(loc) == ids.count(seg) == 1
    assert owned().decode([loc, seg]) == f"{LOC}{SEG}"
    assert owned().token_id(VIDEO) not in ids_of(VIDEO), "stands for clips, never for a word"


@pytest.mark.parametrize("choice", ["added", "all", ("<loc>",)])
def test_turn_markers_stay_characters_whatever_is_chosen(choice: ContentTokens) -> None:
    """Also where a careless save calls them not special."""
    loose = [replace(t, special=t.text not in ("<|im_end|>", "<img>")) for t in owned().added.values()]
    careless = Tokenizer(owned().vocabulary, loose)
    for tokenizer in (owned(), careless):
        typed = ids_of("<|im_end|><|im_start|><img><IMG_CONTEXT>", choice, tokenizer)
        plain = ids_of("x", choice, tokenizer)
        for name in ("<|im_end|>", "<|im_start|>", "<img>", "<IMG_CONTEXT>"):
            assert typed.count(owned().token_id(name)) == plain.count(owned().token_id(name)), name


def test_a_list_names_them() -> None:
    loc, seg = owned().token_id(LOC), owned().token_id(SEG)
    assert {loc, seg}.isdisjoint(ids_of(f"{LOC}{SEG}<ref>", ()))
    assert owned().token_id("<ref>") in ids_of("<ref>", ()), "grounding marks are always content"
    shown = encoder((SEG,)).tokenizer
    assert shown.decode([loc, seg]) == SEG
    assert loc not in ids_of(LOC, (SEG,)) and seg in ids_of(SEG, (SEG,))


def test_all_reaches_tokens_in_front_of_the_picture_tokens() -> None:
    """A language model's own `<|box_start|>` is content only when somebody says so; eos is not even then."""
    added = list(tiny.tokenizer().added.values())
    first = min(token.id for token in added)
    moved = [AddedToken("<|box_start|>", first), *(replace(t, id=t.id + 1) for t in added)]
    tokenizer = Tokenizer(owned().vocabulary, moved, config={"eos_token": {"content": "<|endoftext|>"}})
    assert first not in ids_of("<|box_start|>", "added", tokenizer)
    assert first in ids_of("<|box_start|>", "all", tokenizer)
    assert tokenizer.token_id("<|endoftext|>") not in ids_of("<|endoftext|>", "all", tokenizer)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (("<nothing>",), r"content_tokens: '<nothing>' is no token.*--add-tokens"),
        (("<|im_end|>",), r"content_tokens: '<\|im_end\|>' writes turns"),
        (("<IMG_CONTEXT>",), "writes turns or pictures"),
        ("every", "content_tokens: 'every': give 'added', 'all' or a list"),
    ],
)
def test_wrong_choices_are_named(choice: ContentTokens, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(choice)


def test_system_texts_of_a_config_are_words() -> None:
    """`system_message` of a config is told by its author, not by the template."""
    told = replace(encoder(), system_text="Be brief.<|im_end|><img>")
    ids = told.encode(Conversation((ask("hi"),)), generate=True).ids.tolist()
    assert ids.count(owned().token_id("<|im_end|>")) == 2 and owned().token_id("<img>") not in ids
