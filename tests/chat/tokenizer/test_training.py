"""Tokenizers trained from nothing, and the one shipped with the scale model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tessera
from tessera.chat.tokenizer import load_tokenizer
from tessera.chat.tokenizer.training import SMALLEST, train_tokenizer
from tessera.chat.tokens import ADDED_TOKENS
from tessera.playground.questions.words import WORDS

TEXTS = ["the red circle is left of the blue square.", "1 + 12 = 13", "c a t", "the cat"] * 5
SMALL = train_tokenizer(TEXTS, SMALLEST + 40)
SHIPPED = load_tokenizer(Path(tessera.__file__).parent / "assets" / "tokenizer")


def test_training_is_repeatable_and_keeps_the_order_of_special_strings(tmp_path: Path) -> None:
    train_tokenizer(iter(TEXTS), SMALLEST + 40).save(tmp_path / "a")
    SMALL.save(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *ADDED_TOKENS)
    first = SMALL.vocab_size - len(names)
    assert [SMALL.token_id(t) for t in names] == list(range(first, SMALL.vocab_size))
    assert SMALL.bos_id is None


def test_digits_stand_alone_and_frequent_words_do_not_fall_apart() -> None:
    assert [SMALL.decode([i]) for i in SMALL.encode_plain("1234")] == ["1", "2", "3", "4"]
    assert len(SMALL.encode_plain(" red")) == 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    """Byte-level pieces lose nothing but Unicode composition (NFC, as in Qwen2)."""
    import unicodedata

    assert SMALL.decode(SMALL.encode_plain(text)) == unicodedata.normalize("NFC", text)


def test_too_small() -> None:
    with pytest.raises(ValueError, match="size: 10"):
        train_tokenizer(TEXTS, 10)


def test_the_shipped_tokenizer_has_every_word_and_letter_whole() -> None:
    words = [w for words in WORDS.values() for w in words] + list("abcdefghijklmnopqrstuvwxyz")
    for word in words:
        assert len(SHIPPED.encode_plain(word)) == 1, word
        assert len(SHIPPED.encode_plain(" " + word)) == 1, word
    assert SHIPPED.vocab_size == 1062
