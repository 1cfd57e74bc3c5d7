"""Answers held to a grammar: which tokens may come next, by llguidance (the extra `json`).

llguidance follows the bytes of an answer through the grammar and says for all tokens at once which of them
may go on, in about a millisecond for 150,000 tokens. Special tokens are no text and never allowed, but those
that a model's owner made content. Beyond that nothing is known here of how a token is chosen.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from tessera.chat.tokenizer import Tokenizer
from tessera.engine.sampling.grammar import Grammar, read_schema
from tessera.runtime.shown import shown

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._tokenizer import TokenizerWrapper

MISSING = "a grammar needs llguidance, which is not installed: pip install 'tessera-vl[json]'"


class Guide:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, bool [V], those that end the answer included. Look at `fault` then."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, count=self._vocabulary, bitorder="little").view(np.bool_)

    def take(self, token: int) -> None:
        """The answer goes on with this token."""
        self._matcher.consume_token(token)

    @property
    def over(self) -> bool:
        """Whether the answer is whole and nothing may follow."""
        return bool(self._matcher.is_stopped() and not self._matcher.is_error())

    @property
    def fault(self) -> str:
        """Why the grammar cannot be followed any further; "" while it can."""
        if not self._matcher.is_error():
            return ""
        return f"grammar: {_line(self._matcher.get_error())}; give a simpler one"


class Grammars:
    """Makes the guides of one tokenizer's requests. `stop_ids`: the tokens that end an answer."""

    def __init__(self, tokenizer: Tokenizer, stop_ids: frozenset[int]) -> None:
        self._tokenizer, self._stop_ids = tokenizer, stop_ids

    def guide(self, grammar: Grammar, begun: str = "") -> Guide:
        """A guide for an answer that begins with the words `begun`.

        Raises ValueError for a grammar that makes no sense or is not understood, for words that do not fit
        it, and where llguidance is not installed.
        """
        vocabulary = self._vocabulary
        from llguidance import LLMatcher

        matcher = LLMatcher(vocabulary, _as_llguidance(grammar), log_level=0)
        if matcher.is_error():
            raise ValueError(f"grammar: {_line(matcher.get_error())}; correct it")
        if begun and not matcher.consume_tokens(self._table(begun)):
            raise ValueError(f"the answer begins with {shown(begun)}, which the grammar does not allow")
        return Guide(matcher, self._tokenizer.vocab_size)

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        """The tokens as llguidance has them; this takes a second or two for 150,000."""
        try:
            from llguidance import LLTokenizer
        except ImportError as error:
            raise ValueError(MISSING) from error
        size, ends = self._tokenizer.vocab_size, sorted(self._stop_ids)
        return LLTokenizer(cast("TokenizerWrapper", self._table), n_vocab=size, eos_token=ends)

    @cached_property
    def _table(self) -> TokenTable:
        return TokenTable(self._tokenizer, self._stop_ids)


class TokenTable:
    """A tokenizer as llguidance reads one: bytes of every id, and how bytes are spelled in ids."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, stop_ids: frozenset[int]) -> None:
        self.eos_token_id = min(stop_ids)
        self.tokens = tokenizer.written
        added = {t.id for t in tokenizer.added.values() if t.text not in tokenizer.content}
        self.special_token_ids = sorted(added | stop_ids)
        self._encode = tokenizer.vocabulary.encode
        pieces = ((piece, i) for i, piece in enumerate(self.tokens) if i not in added | stop_ids)
        self._ids = {piece: i for piece, i in pieces if piece}
        self._longest = max(map(len, self._ids))

    def __call__(self, text: str | bytes) -> list[int]:
        """Ids whose bytes are exactly this text.

        A tokenizer that changes a text (NFC, unknown characters) would lead the grammar astray: such a text
        is spelled by the longest tokens from the left.
        """
        raw = text.encode() if isinstance(text, str) else text
        ids = self._encode(raw.decode(errors="replace"), "text")
        return ids if b"".join(self.tokens[i] for i in ids) == raw else self._longest_first(raw)

    def _longest_first(self, raw: bytes) -> list[int]:
        ids, start = [], 0
        while start < len(raw):
            ends = range(min(start + self._longest, len(raw)), start, -1)
            end = next((end for end in ends if raw[start:end] in self._ids), None)
            if end is None:
                break  # no token for this byte: llguidance goes on with what there is
            ids.append(self._ids[raw[start:end]])
            start = end
        return ids


def _as_llguidance(grammar: Grammar) -> str:
    """The grammar as llguidance reads it."""
    from llguidance import LLMatcher

    if grammar.json_schema:
        return str(LLMatcher.grammar_from_json_schema(json.dumps(read_schema(grammar.json_schema))))
    if grammar.regex:
        return str(LLMatcher.grammar_from_regex(grammar.regex))
    texts = " | ".join(json.dumps(text, ensure_ascii=False) for text in grammar.choices)
    return str(LLMatcher.grammar_from_lark(grammar.lark or f"start: {texts}"))


def _line(message: str) -> str:
    """What llguidance says, without the state of its parser, on one line."""
    return shown(" ".join(message.partition("<state>")[0].split()), bare=True)
