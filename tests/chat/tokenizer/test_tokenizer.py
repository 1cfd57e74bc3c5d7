"""Tokenizers of the whole series against published vectors, the original libraries and each other."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.chat.tokens import ADDED_TOKENS

Get = Callable[[str], Tokenizer]
NAMES = ("internvl3", "qwen2_5", "qwen2", "qwen3", "internlm2_internvl2", "llama2", "phi3", "yi")
TEXT = "Hello  world!\n\n  x = [1, 23]\t# café 猫🙂 don't"


@pytest.mark.parametrize(
    ("vectors", "name"), [("qwen2", "internvl3"), ("qwen2", "qwen2_5"), ("llama-spm", "llama2")]
)
def test_published_vectors(vectors: str, name: str, real_tokenizer: Get, shared_data: Path) -> None:
    """47 texts with ids from llama.cpp; they are plain text, without bos."""
    root = shared_data / "tokenizers" / "testvectors"
    texts = (root / f"ggml-vocab-{vectors}.gguf.inp").read_text().split("\n__ggml_vocab_test__\n")
    lines = (root / f"ggml-vocab-{vectors}.gguf.out").read_text().split("\n")
    tokenizer = real_tokenizer(name)
    for text, line in zip(texts, lines, strict=False):
        assert tokenizer.encode_plain(text) == [int(x) for x in line.split()], repr(text)


@pytest.mark.parametrize(
    ("name", "image", "start", "end"),
    [
        ("internvl3", 151665, 151644, 151645),
        ("qwen2", 151646, 151644, 151645),
        ("qwen3", 151669, 151644, 151645),
        ("internlm2_internvl2", 92544, 92543, 92542),
    ],
)
def test_ids_of_special_strings(name: str, image: int, start: int, end: int, real_tokenizer: Get) -> None:
    """The ids of docs/facts/tokens.md; `<img>` and the eight after it stand in the official order."""
    tokenizer = real_tokenizer(name)
    assert [tokenizer.token_id(t) for t in ADDED_TOKENS] == list(range(image, image + 9))
    assert (tokenizer.token_id("<|im_start|>"), tokenizer.token_id("<|im_end|>")) == (start, end)
    assert tokenizer.vocab_size == image + 9


def test_strings_that_yi_knows_already_keep_their_ids(real_tokenizer: Get) -> None:
    """docs/facts/tokens.md: `<img>` and `</img>` are pieces of Yi's vocabulary; `<IMG_CONTEXT>` is new."""
    tokenizer = real_tokenizer("yi")
    assert [tokenizer.token_id(t) for t in ADDED_TOKENS] == [68, 70, *range(64000, 64007)]
    assert tokenizer.vocab_size == 64007
    assert 68 not in tokenizer.encode_plain("<img>")


def test_bos_belongs_to_the_tokenizers_that_add_one(real_tokenizer: Get) -> None:
    expected = {
        "internvl3": None,
        "qwen2_5": None,
        "internlm2_internvl2": 1,
        "llama2": 1,
        "phi3": 1,
        "yi": None,
    }
    assert {name: real_tokenizer(name).bos_id for name in expected} == expected


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str, real_tokenizer: Get) -> None:
    tokenizer = real_tokenizer(name)
    assert tokenizer.decode(tokenizer.encode_plain(TEXT)) == TEXT


@pytest.mark.parametrize("name", NAMES)
def test_special_strings_in_plain_text_stay_text(name: str, real_tokenizer: Get) -> None:
    """Yi's own model would turn "<|im_end|>" into id 7: a user could have ended the turn of another."""
    tokenizer = real_tokenizer(name)
    specials = {t.id for t in tokenizer.added.values()}
    for text in tokenizer.added:
        ids = tokenizer.encode_plain(f"a {text}b")
        assert not specials & set(ids), text
        assert tokenizer.decode(ids) == f"a {text}b"


@pytest.mark.parametrize("name", NAMES)
def test_special_strings_in_trusted_text_are_one_id(name: str, real_tokenizer: Get) -> None:
    tokenizer = real_tokenizer(name)
    for text, token in tokenizer.added.items():
        assert tokenizer.encode(f"a{text}{text}").count(token.id) == 2


def test_decode_drops_turn_markers_and_keeps_grounding_marks(real_tokenizer: Get) -> None:
    """docs/facts/tokens.md: the official `chat` keeps <ref> and <box> in answers."""
    tokenizer = real_tokenizer("internvl3")
    written = "<ref>cat</ref><box>[[1, 2, 3, 4]]</box><|im_end|>"
    ids = tokenizer.encode(written)
    assert tokenizer.decode(ids) == "<ref>cat</ref><box>[[1, 2, 3, 4]]</box>"
    assert tokenizer.decode(ids, skip_special=False) == written
    assert (
        real_tokenizer("qwen3").decode(real_tokenizer("qwen3").encode("<think>no</think>"))
        == "<think>no</think>"
    )


@pytest.mark.parametrize("name", ["internvl3", "internlm2_internvl2", "llama2"])
def test_prefixes_decode_for_streaming(name: str, real_tokenizer: Get) -> None:
    """Every prefix of the ids is a prefix of the text once U+FFFD at its end is held back."""
    tokenizer = real_tokenizer(name)
    ids = tokenizer.encode_plain("a 🙂🙃 猫é 𠮷 end")
    whole = tokenizer.decode(ids)
    for stop in range(len(ids) + 1):
        assert whole.startswith(tokenizer.decode(ids[:stop]).rstrip("\ufffd"))


@pytest.mark.parametrize("name", ["qwen2_5", *NAMES[4:]])
def test_save_load_and_pickle_keep_the_ids(name: str, real_tokenizer: Get, tmp_path: Path) -> None:
    tokenizer = real_tokenizer(name)
    tokenizer.save(tmp_path)
    text = f"<img>{TEXT}</img> <ref>"
    for again in (load_tokenizer(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert again.encode(text) == tokenizer.encode(text)
        assert (again.vocab_size, again.bos_id) == (tokenizer.vocab_size, tokenizer.bos_id)
        assert again.added == tokenizer.added


def test_the_saved_json_serves_other_libraries(real_tokenizer: Get, tmp_path: Path) -> None:
    tokenizer = real_tokenizer("qwen2_5")
    tokenizer.save(tmp_path)
    other = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = f"<|im_start|>user\n<img><IMG_CONTEXT></img>\n{TEXT}<|im_end|>\n"
    assert other.encode(text).ids == tokenizer.encode(text)


def test_phi3_drops_white_space_behind_its_chat_tokens(real_tokenizer: Get) -> None:
    """Its chat tokens carry rstrip, so "<|user|>\\n  hi" and "<|user|>hi" are the same prompt."""
    tokenizer = real_tokenizer("phi3")
    assert tokenizer.encode("<|user|>\n  hi<|end|>") == tokenizer.encode("<|user|>hi<|end|>")
    assert tokenizer.encode("<|user|>hi")[0] == tokenizer.token_id("\u2581")


def test_errors_name_the_remedy(real_tokenizer: Get, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with_added"):
        real_tokenizer("internvl3").token_id("<no such token>")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
    for wrong in (10**7, -100):
        with pytest.raises(ValueError, match="vocabulary size"):
            real_tokenizer("internvl3").decode([wrong])
    for name in ("internvl3", "llama2"):
        with pytest.raises(ValueError, match="surrogate"):
            real_tokenizer(name).encode_plain("a\ud800b")
