"""Texts of the pair by SentencePiece itself, with the released tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from tessera.chat.tokenizer import load_tokenizer
from tessera.families.pair_texts import PairTexts

TEXTS = ["a photo of a cat", "", " two  spaces ", "一张红色熊猫的照片", "naïve café 😀", "word " * 120]


@pytest.fixture(scope="module")
def released(shared_data: Path) -> tuple[PairTexts, sentencepiece.SentencePieceProcessor]:
    folder = shared_data / "tokenizers" / "chinese_alpaca_internvl_g"
    model = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    return PairTexts(load_tokenizer(folder), bos=1, eos=2), model


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_the_released_ones(
    released: tuple[PairTexts, sentencepiece.SentencePieceProcessor], text: str
) -> None:
    texts, model = released
    assert texts.contrast(text) == [1, *model.EncodeAsIds(f"summarize:{text}")[:78], 2]
    assert texts.matching(text) == [1, *model.EncodeAsIds(text)[:78], 2]
    asked = [1, *model.EncodeAsIds("English caption:")]
    found = texts.caption(text)
    assert found.ids == [*asked, *model.EncodeAsIds(text)[: 79 - len(asked)], 2] and found.prompt == len(
        asked
    )
    assert len(texts.contrast(text)) <= 80 >= len(found.ids)


def test_lengths_of_empty_texts(released: tuple[PairTexts, sentencepiece.SentencePieceProcessor]) -> None:
    """The numbers by which the released code knows an empty text: two and five tokens."""
    texts, _ = released
    assert (len(texts.matching("")), len(texts.contrast(""))) == (2, 5)
    assert texts.tokenizer.vocab_size == 49954
    assert texts.contrast("</s> [PAD]").count(2) == 1
    with pytest.raises(ValueError, match="leave none for a caption"):
        texts.caption("a cat", "word " * 100)
