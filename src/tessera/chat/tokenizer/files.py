"""The files in which released tokenizers are written, and which of them count."""

import json
from pathlib import Path

from tessera.chat.tokenizer.tokenizer import Tokenizer
from tessera.chat.tokenizer.vocabulary import (
    JsonVocabulary,
    SentencePieceVocabulary,
    Vocabulary,
    qwen_document,
)
from tessera.chat.tokens import ADDED_TOKENS, AddedToken
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

MAX_BYTES = 64 * 1024**2
"""Of any file of a tokenizer; the largest released ones have a third of it."""
MAX_IDS = 2**22
"""Tables have a row for each id up to the largest; the largest released vocabulary has 2^18."""


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer in tokenizer.model, tokenizer.json or vocab.json + merges.txt, with its added tokens.

    Where both stand, tokenizer.model wins in the original layout, whose models were trained with the slow
    tokenizers, and tokenizer.json in the transformers layout (`-hf`), which reads nothing else. Raises
    ValueError naming file and key.
    """
    root = Path(folder)
    config = read_section(root / "tokenizer_config.json")
    named = _named_tokens(config) | _named_tokens(read_section(root / "special_tokens_map.json"))
    # A model of transformers' own InternVL class, or a tokenizer saved for it.
    model_type = read_section(root / "config.json").content.get("model_type")
    hf = "context_image_token" in config or model_type == "internvl"
    fast = hf and (root / "tokenizer.json").is_file()
    bos, document = token_text(config, "bos_token"), Section("")
    if (root / "tokenizer.model").is_file() and not fast:
        legacy = config.flag("legacy", True)
        vocabulary = _sentencepiece(root / "tokenizer.model", legacy)
        adds_bos = True
    else:
        document = _read_document(root)
        vocabulary = _json_vocabulary(document)
        # Llama 3's own post-processor writes the bos token.
        adds_bos = bos is not None and json.dumps(bos) in json.dumps(document.content.get("post_processor"))
    added = _added_tokens(root, config, document, named, vocabulary)
    first = bos if config.flag("add_bos_token", adds_bos) else None
    try:
        return Tokenizer(vocabulary, added, first, named, config.content)
    except ValueError as error:
        raise ValueError(f"{shown(root)}: {error}") from error


def read_section(path: Path) -> Section:
    """The object in a file, an empty one when there is no such file; null says no more than absence."""
    return Section.of(path, MAX_BYTES).without_nulls() if path.is_file() else Section(shown(path))


def _sentencepiece(path: Path, legacy: bool) -> Vocabulary:
    """The vocabulary in tokenizer.model."""
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ValueError(f"{shown(path)} has {size} bytes, which no vocabulary has: fetch it again")
    try:
        return SentencePieceVocabulary(path.read_bytes(), legacy)
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise ValueError(
            f"{shown(path)} is no SentencePiece model ({shown(error)}): fetch it again"
        ) from error


def _json_vocabulary(document: Section) -> Vocabulary:
    """The vocabulary of a tokenizer.json; ids are bounded before tables are made of them."""
    vocab = document.section("model").section("vocab")
    if not vocab.content:
        raise ValueError(f"{vocab.where} is empty: fetch the tokenizer again")
    for piece in vocab:
        _check_id(vocab, piece)
    try:
        return JsonVocabulary(document.content)
    # The library raises nothing narrower.
    except Exception as error:
        raise ValueError(f"{document.where} is no tokenizer ({shown(error)}): fetch it again") from error


def _check_id(section: Section, key: str) -> int:
    """The id under a key."""
    if not 0 <= (found := section.whole(key)) < MAX_IDS:
        raise section.wrong(key, f"ids lie between 0 and {MAX_IDS}")
    return found


def _read_document(root: Path) -> Section:
    if (root / "tokenizer.json").is_file():
        return read_section(root / "tokenizer.json")
    vocab, merges = root / "vocab.json", root / "merges.txt"
    if vocab.is_file() and merges.is_file():
        try:
            lines = merges.read_text(encoding="utf-8").split("\n")
        except (UnicodeDecodeError, OSError) as error:
            raise ValueError(f"{shown(merges)} is no text ({shown(error)}): fetch it again") from error
        rules = [line for line in lines if line and not line.startswith("#version")]
        return Section(shown(vocab), qwen_document(read_section(vocab).content, rules))
    raise ValueError(
        f"tokenizer folder: {shown(root)} has no tokenizer.model, tokenizer.json or vocab.json + merges.txt: "
        "copy the tokenizer's files of the checkpoint that the model was made from beside the weights"
    )


def token_text(section: Section, key: str) -> str | None:
    """The string of a token given as a string or as a table with flags, None where there is none."""
    if isinstance(section.content.get(key), dict):
        nested = section.section(key)
        return nested.text("content") if "content" in nested else None
    return section.text(key) if key in section else None


def _named_tokens(config: Section) -> frozenset[str]:
    names = ("bos", "eos", "unk", "pad", "sep", "cls", "mask")
    texts = [token_text(config, f"{name}_token") for name in names]
    key = "additional_special_tokens"
    listed = config.content.get(key) or []
    if not isinstance(listed, list):
        raise config.wrong(key, "a list of tokens is needed here")
    entries = Section(config.place(key), {str(place): entry for place, entry in enumerate(listed)})
    texts += [token_text(entries, place) for place in entries]
    return frozenset(text for text in texts if text)


def _added_tokens(
    root: Path, config: Section, document: Section, named: frozenset[str], vocabulary: Vocabulary
) -> list[AddedToken]:
    """Every special string from the four places in which released tokenizers write them."""
    ids = {text: vocabulary.token_id(text) for text in (*sorted(named), *ADDED_TOKENS)}
    own = read_section(root / "added_tokens.json")
    ids |= {text: _check_id(own, text) for text in own}
    found = {text: AddedToken(text, index) for text, index in ids.items() if index is not None}
    entries = [(_check_id(entry, "id"), entry) for entry in document.sections("added_tokens")]
    table = config.part("added_tokens_decoder")
    for key, entry in zip(table, config.sections("added_tokens_decoder"), strict=True):
        if not key.isascii() or not key.isdecimal() or len(key) > 9 or int(key) >= MAX_IDS:
            raise table.wrong(key, f"keys are ids between 0 and {MAX_IDS}")
        entries.append((int(key), entry))
    for index, entry in entries:
        # A control piece of the model (Phi-3's </s>) is special whatever its flag says.
        control = index < len(vocabulary.pieces) and not vocabulary.pieces[index]
        flags = control or entry.flag("special", True), entry.flag("rstrip")
        found[entry.text("content")] = AddedToken(entry.text("content"), index, *flags)
    return list(found.values())
