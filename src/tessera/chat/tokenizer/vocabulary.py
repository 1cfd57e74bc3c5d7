"""Plain text to ids without any special strings: byte-level BPE and SentencePiece behind one face.

A vocabulary knows nothing of control tokens. `Tokenizer` cuts text at those and hands the runs between them
to `encode`; ids become text again through `pieces`, the bytes that each id stands for.
"""

import json
import re
from functools import cached_property
from typing import Any, Literal

import sentencepiece
import tokenizers

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The rule by which Qwen2 cuts text into words before merging; every digit stands alone."""

BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
SPACE = "\u2581"
"""SentencePiece's visible space."""
FIRST, NEVER = '"prepend_scheme": "first"', '"prepend_scheme": "never"'
"""When Metaspace writes a space before a text: LLaMA's in front of the prompt, or not at all."""

Left = Literal["nothing", "token", "text"]
"""What stands left of a run: nothing (it opens the prompt), a control token, or text that was cut off it."""


def byte_alphabet() -> dict[str, int]:
    """The 256 printable stand-ins of byte-level BPE, character -> byte (GPT-2's published table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in set(printable)]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


def qwen_document(vocab: dict[str, int], merges: list[str]) -> dict[str, Any]:
    """A tokenizer.json document for Qwen2's vocab.json and merges.txt (NFC, Qwen2 split, byte level)."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": QWEN_SPLIT}, "behavior": "Isolated", "invert": False}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False}
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": model
        | {"continuing_subword_prefix": "", "end_of_word_suffix": "", "vocab": vocab, "merges": merges},
    }


class JsonVocabulary:
    """A tokenizer.json, with its added tokens and post-processor taken out."""

    lone_prefix: int | None = None
    """Id of the space that the model puts before a control token at the very start, or None."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        bare = document | {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        text = json.dumps(bare)
        self._core = tokenizers.Tokenizer.from_str(text)
        # Metaspace "first" writes its space before the prompt only; a run taken alone always looks like one.
        behind = text.replace(FIRST, NEVER)
        self._behind = self._core if behind == text else tokenizers.Tokenizer.from_str(behind)
        self._bare = bare
        before, words = (json.dumps(document.get(key)) for key in ("normalizer", "pre_tokenizer"))
        self.pieces = _json_pieces(document["model"]["vocab"], byte_level='"ByteLevel"' in words)
        """Bytes of every id; empty for ids that never stand for text."""
        self.strips_first_space = '"Prepend"' in before or ('"Metaspace"' in words and NEVER not in words)
        """Whether the first space of a decoded text was put there by the model and is to be dropped."""
        unknown = document["model"].get("unk_token")
        self.unknown = None if unknown is None else self._core.token_to_id(unknown)
        """Id of characters that the model has no piece for, or None."""

    def encode(self, text: str, left: Left) -> list[int]:
        """Ids of a run of text."""
        if left == "nothing":
            return self._core.encode(text, add_special_tokens=False).ids
        return (self._behind if left == "token" else self._inside).encode(text, add_special_tokens=False).ids

    @cached_property
    def _inside(self) -> tokenizers.Tokenizer:
        """The model without any space of its own before a text."""
        document = {key: _unprefixed(self._bare.get(key)) for key in ("normalizer", "pre_tokenizer")}
        return tokenizers.Tokenizer.from_str(json.dumps(self._bare | document))

    def token_id(self, piece: str) -> int | None:
        """Id of a piece as written in the model's vocabulary, or None."""
        return self._core.token_to_id(piece)

    def files(self) -> dict[str, bytes]:
        """`tokenizer.json` as read; `Tokenizer.save` renews its added tokens."""
        return {"tokenizer.json": json.dumps(self._document, ensure_ascii=False).encode()}


def _unprefixed(step: Any) -> Any:
    """A normalizer or pre-tokenizer that writes no space before a text."""
    if not isinstance(step, dict) or step.get("type") == "Prepend":
        return None
    changed = dict(step)
    for key in ("normalizers", "pretokenizers"):
        if key in step:
            changed[key] = [kept for one in step[key] if (kept := _unprefixed(one))]
    never = {"prepend_scheme": "never", "add_prefix_space": False}
    return changed | {key: value for key, value in never.items() if key in step}


def _json_pieces(vocab: dict[str, int], byte_level: bool) -> list[bytes]:
    """Bytes of every id of a BPE model, byte-level or with SentencePiece's conventions."""
    pieces = [b""] * (max(vocab.values()) + 1)
    alphabet = byte_alphabet()
    known, codes = frozenset(alphabet), {ord(letter): byte for letter, byte in alphabet.items()}
    for piece, index in vocab.items():
        if not byte_level:
            pieces[index] = piece_bytes(piece)
        elif known.issuperset(piece):
            pieces[index] = piece.translate(codes).encode("latin-1")
    return pieces


def piece_bytes(piece: str) -> bytes:
    """Bytes of a SentencePiece piece: `<0x0A>` is one byte, the low line is a space."""
    byte = BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(SPACE, " ").encode()


class SentencePieceVocabulary:
    """A tokenizer.model with the prefix-space rules of the slow tokenizers it was trained with.

    Models with a dummy prefix (LLaMA, Phi-3) get a space before the first word. `legacy` (LLaMA, Yi): before
    every run of text, also behind a control token. Otherwise (Phi-3): at the start of the prompt only, and
    there also when the prompt starts with a control token. InternLM2 and Yi have no dummy prefix.
    """

    def __init__(self, model: bytes, legacy: bool) -> None:
        self._model = model
        if hasattr(sentencepiece, "set_min_log_level"):  # else it warns of InternLM2's NUL piece each time
            sentencepiece.set_min_log_level(2)
        self._sp = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._legacy = legacy
        self._dummy_prefix = self._sp.encode("a", out_type=str)[0].startswith(SPACE)
        self._anchor = len(self._sp.encode("\n"))
        self.strips_first_space = self._dummy_prefix
        self.lone_prefix = self._sp.piece_to_id(SPACE) if self._dummy_prefix and not legacy else None
        self.pieces = [self._bytes(i) for i in range(self._sp.get_piece_size())]
        self.unknown: int | None = self._sp.unk_id()

    def encode(self, text: str, left: Left) -> list[int]:
        """Ids of a run of text."""
        prefixed = left == "nothing" or (left == "token" and self._legacy)
        ids: list[int] = self._sp.encode(text) if prefixed or not self._dummy_prefix else self._continue(text)
        return ids

    def token_id(self, piece: str) -> int | None:
        """Id of a piece as written in the model file, or None."""
        index = int(self._sp.piece_to_id(piece))
        return None if index == self._sp.unk_id() and piece != self._sp.id_to_piece(index) else index

    def files(self) -> dict[str, bytes]:
        """The model file, unchanged."""
        return {"tokenizer.model": self._model}

    def _continue(self, text: str) -> list[int]:
        """Ids without the dummy prefix: encode behind a newline, which never merges, and cut it off."""
        return self._sp.encode("\n" + text)[self._anchor :]

    def _bytes(self, index: int) -> bytes:
        if self._sp.is_control(index) or self._sp.is_unused(index):
            return b""
        return piece_bytes(self._sp.id_to_piece(index))


Vocabulary = JsonVocabulary | SentencePieceVocabulary
