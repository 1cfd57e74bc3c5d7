"""What a person writes never becomes a special token: ids are compared, piece by piece."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable

import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.chat.message import Conversation, Message, Text, ask, say
from tessera.chat.render import render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.vocabulary import JsonVocabulary, SentencePieceVocabulary
from tessera.chat.tokens import AddedToken

Get = Callable[[str], Tokenizer]
NAMES = (
    "internvl3",
    "qwen2",
    "qwen3",
    "internlm2_internvl2",
    "llama2",
    "phi3",
    "yi",
    "chinese_alpaca_internvl_g",
)
PROMPTS = (
    ("internvl2_5", "internlm2_internvl2"),
    ("internlm2-chat", "internlm2_internvl2"),
    ("Hermes-2", "yi"),
    ("phi3-chat", "phi3"),
    ("internvl_zh", "llama2"),
    ("internvl2_5", "internvl3"),
)
WIDE = {ord("<"): "＜", ord(">"): "＞", ord("|"): "｜", ord("["): "［", ord("]"): "］"}


def special_ids(tokenizer: Tokenizer) -> set[int]:
    return {token.id for token in tokenizer.added.values()}


def spellings(tokenizer: Tokenizer) -> list[str]:
    """Names of special strings, and the pieces in whose places they stand."""
    pieces = tokenizer.vocabulary.pieces
    inside = (i for i in special_ids(tokenizer) if i < len(pieces))
    return sorted({*tokenizer.added, *filter(None, (pieces[i].decode() for i in inside))})


def require_characters(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode_plain(text)
    assert special_ids(tokenizer).isdisjoint(ids), repr(text)
    assert unicodedata.normalize("NFC", tokenizer.decode(ids)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("qwen2", "qwen3")])
def test_no_piece_of_a_vocabulary_is_a_way_to_write_a_special_token(name: str, real_tokenizer: Get) -> None:
    """InternLM2's piece [UNUSED_TOKEN_145] has the id of <|im_end|>; only names were guarded.

    The pieces of Qwen2 and 3 are those of InternVL3.
    """
    tokenizer = real_tokenizer(name)
    pieces = (piece.decode(errors="ignore") for piece in tokenizer.vocabulary.pieces)
    for text in {*tokenizer.added, *pieces} - {""}:
        require_characters(tokenizer, text)


@pytest.mark.parametrize("name", NAMES)
def test_nor_is_any_mixture_of_spellings(name: str, real_tokenizer: Get) -> None:
    """Names cut, doubled, nested, in wide forms, with invisible characters, between pieces of all kinds."""
    tokenizer = real_tokenizer(name)
    known = spellings(tokenizer)
    parts = st.sampled_from(known)
    cut = st.builds(lambda text, at: text[: at % len(text)], parts, st.integers(1, 99))
    rest = st.builds(lambda text, at: text[at % len(text) :], parts, st.integers(1, 99))
    odd = st.sampled_from(
        ["\u200b", "\u2060", "\ufeff", "\u0338", "\x00", "\n", " ", "\u2581", "é", "🙂", "a"]
    )
    wide = parts.map(lambda text: text.translate(WIDE))
    texts = st.lists(st.one_of(parts, cut, rest, wide, odd, st.text(max_size=3)), max_size=12).map("".join)

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(texts)
    def check(text: str) -> None:
        ids = tokenizer.encode_plain(text)
        assert special_ids(tokenizer).isdisjoint(ids), repr(text)

    check()


@pytest.mark.parametrize(("template", "name"), PROMPTS)
def test_a_typed_turn_is_no_turn(template: str, name: str, real_tokenizer: Get) -> None:
    """In questions, system texts, earlier turns and answers, whole and in two parts."""
    tokenizer = real_tokenizer(name)
    for spelling in spellings(tokenizer):
        if spelling in ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>") or not (
            tokenizer.added.get(spelling, AddedToken("", 0)).special
        ):
            continue
        typed = f"a{spelling}b"
        halves = Message("user", (Text(typed[: len(typed) // 2]), Text(typed[len(typed) // 2 :])))

        def count(word: str, question: Message) -> int:
            talk = Conversation(
                (say("system", word), ask(word), say("assistant", word), question, say("assistant", word))
            )
            ids = render(talk, TEMPLATES[template], tokenizer, system_text=word).ids
            return sum(i in special_ids(tokenizer) for i in ids)

        assert count(typed, halves) == count("ab", ask("ab")), spelling


def piece_model(**options: object) -> bytes:
    """A SentencePiece model whose own piece is a turn marker, with the usual (NFKC) normaliser."""
    model = io.BytesIO()
    words = ["the cat is in the house", "a house of cats", "red circles and blue squares"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words),
        model_writer=model,
        model_type="bpe",
        vocab_size=options.pop("vocab_size", 340),
        user_defined_symbols=["<turn>"],
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def test_forms_that_a_normaliser_maps_to_a_special_token() -> None:
    """NFKC makes "<turn>" of wide letters: the spelling never stands in the text, the id does."""
    model = piece_model(byte_fallback=True, normalization_rule_name="nfkc", add_dummy_prefix=False)
    vocabulary = SentencePieceVocabulary(model, legacy=False)
    turn = vocabulary.token_id("<turn>")
    assert turn is not None
    for text in ("<turn>", "＜turn＞", "the ＜ｔｕｒｎ＞ cat", "<＜turn＞turn>"):
        assert turn in vocabulary.encode(text, "nothing"), "the model itself writes the token"
        ids = Tokenizer(vocabulary, [AddedToken("<turn>", turn)]).encode_plain(text)
        assert turn not in ids
        assert Tokenizer(vocabulary, [AddedToken("<turn>", turn)]).decode(ids) == unicodedata.normalize(
            "NFKC", text
        )


def test_unknown_characters_leave_the_ids_around_them_alone() -> None:
    """Without byte pieces `<unk>` is the model's word for a character; its typed name is not."""
    model = piece_model(vocab_size=60, add_dummy_prefix=False)
    vocabulary = SentencePieceVocabulary(model, legacy=False)
    unknown = vocabulary.unknown
    assert unknown is not None
    tokenizer = Tokenizer(vocabulary, [AddedToken("<unk>", unknown), AddedToken("<turn>", 3)])
    assert tokenizer.encode_plain("the cat 猫 in") == vocabulary.encode("the cat 猫 in", "nothing")
    assert 3 not in tokenizer.encode_plain("the 猫<turn>")


def test_a_special_token_of_one_character_is_written_by_bytes() -> None:
    """And where the vocabulary has no bytes for it, that is an error, not a special token."""
    vocabulary = SentencePieceVocabulary(
        piece_model(byte_fallback=True, add_dummy_prefix=False), legacy=False
    )
    (letter,) = vocabulary.encode("q", "nothing")
    tokenizer = Tokenizer(vocabulary, [AddedToken("<end>", letter)])
    ids = tokenizer.encode_plain("q")
    assert letter not in ids
    assert tokenizer.decode(ids) == "q"
    bare = SentencePieceVocabulary(piece_model(vocab_size=60, add_dummy_prefix=False), legacy=False)
    (letter,) = bare.encode("q", "nothing")
    with pytest.raises(ValueError, match=r"writes 'q' only as its special string '<end>'"):
        Tokenizer(bare, [AddedToken("<end>", letter)]).encode_plain("a q")


def test_words_that_a_json_vocabulary_takes_whole(real_tokenizer: Get) -> None:
    """`ignore_merges` (Llama 3) takes a word that is in the vocabulary as it stands, special or not."""
    document = json.loads(real_tokenizer("qwen2").vocabulary.files()["tokenizer.json"])
    document["model"]["ignore_merges"] = True
    document["model"]["vocab"]["<|im_end|>"] = len(document["model"]["vocab"])
    document["pre_tokenizer"] = document["decoder"]  # no splitting into words
    vocabulary = JsonVocabulary(document)
    (end,) = vocabulary.encode("<|im_end|>", "nothing")
    tokenizer = Tokenizer(vocabulary, [AddedToken("<|im_end|>", end)])
    require_characters(tokenizer, "<|im_end|>")


def test_text_goes_on_behind_a_cut_without_a_space_of_its_own(real_tokenizer: Get) -> None:
    """LLaMA's forms write a space before a run; a run that is cut in two has one, not two."""
    for scheme in ("first", "always"):
        metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": False}
        words = ["<unk>", "\u2581", "a", "<", "x", ">", "<x", "<x>"]
        model = {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "<unk>"}
        model |= {"merges": [["<", "x"], ["<x", ">"]]}
        vocabulary = JsonVocabulary({"model": model, "normalizer": None, "pre_tokenizer": metaspace})
        tokenizer = Tokenizer(vocabulary, [AddedToken("<x>", 7)])
        assert tokenizer.encode_plain("a<x>a") == [1, 2, 3, 4, 5, 2]
