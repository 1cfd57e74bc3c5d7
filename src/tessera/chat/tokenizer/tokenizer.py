"""One tokenizer for every member of the series: runs of text through a vocabulary, special strings by table.

Two kinds of text are kept apart. *Trusted* text (templates) may contain special strings; they become their
ids. In *plain* text (what a user typed) they stay ordinary characters, so nobody can write a turn marker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer.content import PLACEHOLDERS, content_names
from tessera.chat.tokenizer.vocabulary import Left, Vocabulary
from tessera.chat.tokens import ADDED_TOKENS, AddedToken

CACHE_ENTRIES = 65_536
CACHE_CHARACTERS = 256
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """Text to ids and back.

    `named` are the strings listed by name in the configuration (bos, eos, additional ...): the slow LLaMA
    rules ask whether a token is among them. `config` is tokenizer_config.json, kept for `save`. `content` are
    the special strings that content may hold; None is the default of `content_names`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        added: Sequence[AddedToken],
        bos: str | None = None,
        named: frozenset[str] = frozenset(),
        config: Mapping[str, Any] | None = None,
        content: frozenset[str] | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.added: dict[str, AddedToken] = {t.text: t for t in sorted(added, key=lambda t: t.id)}
        self.config = dict(config or {})
        self.named = named
        self.content = content_names(self.added, self.config) if content is None else content
        self.bos_id: int | None = None if bos is None else self.token_id(bos)
        self.vocab_size = max([len(vocabulary.pieces) - 1, *(t.id for t in added)]) + 1
        self._by_id = {t.id: t for t in self.added.values()}
        self._strips = frozenset(t.id for t in added if t.strips_right)
        self._cache: dict[tuple[str, bool], list[int]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": {}}

    def has_token(self, text: str) -> bool:
        """Whether this special string is one token of the tokenizer."""
        return text in self.added

    def token_id(self, text: str) -> int:
        """Id of a special string or of a piece of the vocabulary; ValueError when there is none."""
        if text in self.added:
            return self.added[text].id
        found = self.vocabulary.token_id(text)
        if found is None:
            raise ValueError(f"tokenizer: no token {text!r}; add it with Tokenizer.with_added([{text!r}])")
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of trusted text, special strings as their ids, no bos."""
        ids: list[int] = []
        for piece in self.split(text):
            if isinstance(piece, int):
                ids += [*self.opening(piece), piece] if not ids else [piece]
            else:
                ids += self.encode_plain(piece, ids[-1] if ids else None)
        return ids

    def encode_plain(self, text: str, left: int | None = None) -> list[int]:
        """Ids of text whose special strings mean nothing, no bos; behind token `left`, or at the start."""
        if left in self._strips:
            text = text.lstrip()
        if not text:
            return []
        key = (text, left is None)
        ids = self._cache.get(key)
        if ids is None:
            if not text.isascii() and (lone := LONE_SURROGATE.search(text)):
                raise ValueError(
                    f"text: holds a lone surrogate at character {lone.start()}; decode the source as UTF-8"
                )
            ids = self._spell(text, "nothing" if left is None else "token")
            if len(text) <= CACHE_CHARACTERS:
                if len(self._cache) >= CACHE_ENTRIES:
                    self._cache.clear()
                self._cache[key] = ids
        return list(ids)

    def _spell(self, text: str, left: Left) -> list[int]:
        """Ids of a run of text without the id of any special string, whatever the vocabulary makes of it.

        What would become one (its name, the piece of the model that has its id, a form that the normaliser
        maps to it) is cut behind its first character, so that it stays characters. Where no such spelling
        stands in the text, its halves are tried, down to the bytes of one character. Ids that hold none are
        the vocabulary's own.
        """
        ids = self.vocabulary.encode(text, left)
        caught = self._by_id.keys() & ids
        if not caught:
            return ids
        if spellings := self._spellings(text, caught):
            cuts = (f"(?<={re.escape(s[0])})(?={re.escape(s[1:])})" for s in spellings)
            parts = re.split("|".join(cuts), text)
        elif caught == {self.vocabulary.unknown}:
            return ids  # not written by name: characters that the model has no piece for
        elif len(text) == 1:
            return self._spell_bytes(text, next(iter(caught)))
        else:
            parts = [text[: len(text) // 2], text[len(text) // 2 :]]
        first, *rest = (self._spell(part, "text" if n else left) for n, part in enumerate(parts))
        return [*first, *chain.from_iterable(rest)]

    def _spellings(self, text: str, caught: Iterable[int]) -> list[str]:
        """How these ids are written in a text: names and pieces of more than one character."""
        known = {self._by_id[i].text for i in caught}
        known |= {self.vocabulary.pieces[i].decode(errors="ignore") for i in caught}
        return sorted(s for s in known if len(s) > 1 and s in text)

    def _spell_bytes(self, character: str, caught: int) -> list[int]:
        """A character by its bytes; ValueError where the vocabulary has none for it."""
        spelled = [self._bytes[byte] for byte in character.encode() if byte in self._bytes]
        if len(spelled) < len(character.encode()):
            raise ValueError(
                f"text: the tokenizer writes {character!r} only as its special string "
                f"{self._by_id[caught].text!r}; take the character out"
            )
        return spelled

    @cached_property
    def _bytes(self) -> dict[int, int]:
        """Byte -> the id that stands for it alone and for no special string."""
        pieces = enumerate(self.vocabulary.pieces)
        return {piece[0]: i for i, piece in pieces if len(piece) == 1 and i not in self._by_id}

    def opening(self, first: int) -> list[int]:
        """Ids in front of a prompt that starts with control token `first`: Phi-3's lone space, else none.

        The slow LLaMA tokenizer drops that space only before tokens listed by name in the configuration.
        """
        lone = self.vocabulary.lone_prefix
        return [] if lone is None or self._by_id[first].text in self.named else [lone]

    def split(self, text: str) -> list[int | str]:
        """Trusted text cut at every special string, those as ids."""
        return self._cut(text, self._special_pattern)

    def split_content(self, text: str) -> list[int | str]:
        """Text of a user or an answer cut at the special strings that are allowed there, those as ids."""
        return self._cut(text, self._content_pattern)

    def _cut(self, text: str, pattern: re.Pattern[str] | None) -> list[int | str]:
        pieces = [text] if pattern is None else pattern.split(text)
        return [self.added[p].id if i % 2 else p for i, p in enumerate(pieces) if p]

    def _pattern(self, texts: Iterable[str]) -> re.Pattern[str] | None:
        """A pattern that finds these special strings, longest first; None for no strings."""
        known = sorted((t for t in texts if t in self.added), key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, known)) + ")") if known else None

    @cached_property
    def _content_pattern(self) -> re.Pattern[str] | None:
        return self._pattern(self.content)

    def spelled(self, text: str) -> list[str]:
        """Special strings in a text that stay characters there, because content may not hold them."""
        pattern = self._barred_pattern
        return [] if pattern is None else pattern.findall(text)

    @cached_property
    def _barred_pattern(self) -> re.Pattern[str] | None:
        return self._pattern(self.added.keys() - self.content - {*PLACEHOLDERS})

    @cached_property
    def _special_pattern(self) -> re.Pattern[str] | None:
        return self._pattern(self.added)

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """Text of ids; special tokens that are no content are left out. Cut UTF-8 ends in U+FFFD."""
        table = self.shown if skip_special else self.written
        listed = list(ids)
        if listed and not 0 <= min(listed) <= max(listed) < self.vocab_size:
            raise ValueError(f"ids: an id is not below the vocabulary size {self.vocab_size} or is negative")
        text = b"".join([table[i] for i in listed]).decode("utf-8", errors="replace")
        return text[1:] if self.vocabulary.strips_first_space and text.startswith(" ") else text

    @cached_property
    def written(self) -> list[bytes]:
        """Bytes of every id, special tokens as they are written."""
        table = self.vocabulary.pieces + [b""] * (self.vocab_size - len(self.vocabulary.pieces))
        for token in self.added.values():
            table[token.id] = token.text.encode()
        return table

    @cached_property
    def shown(self) -> list[bytes]:
        """Bytes of every id in a decoded text: none for special tokens that are no content."""
        table = list(self.written)
        for token in self.added.values():
            if token.text not in self.content:
                table[token.id] = b""
        return table

    def with_added(self, texts: Iterable[str] = ADDED_TOKENS) -> Tokenizer:
        """A copy with these special strings; those already there keep their ids, the others follow in order.

        A string that is a piece of the vocabulary (`<img>` is one of Yi's) keeps that id, as in the official
        code, which resolves every one of them by its text (docs/facts/tokens.md).
        """
        found, following = dict(self.added), self.vocab_size
        for text in texts:
            if text not in found:
                piece = self.vocabulary.token_id(text)
                found[text] = AddedToken(text, following if piece is None else piece)
                following += piece is None
        return self._copy(found.values())

    def without(self, texts: Iterable[str]) -> Tokenizer:
        """A copy that takes these special strings as text."""
        gone = set(texts)
        return self._copy(token for token in self.added.values() if token.text not in gone)

    def with_content(self, names: frozenset[str]) -> Tokenizer:
        """A copy in which content may hold these special strings, and no others (`content_names`)."""
        return self if names == self.content else self._copy(self.added.values(), names)

    def _copy(self, added: Iterable[AddedToken], content: frozenset[str] | None = None) -> Tokenizer:
        copy = Tokenizer(self.vocabulary, list(added), None, self.named, self.config, content)
        copy.bos_id = self.bos_id
        return copy

    def save(self, folder: str | Path) -> None:
        """Write the vocabulary's file and tokenizer_config.json, as `load_tokenizer` and others read them."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        files, entries = self.vocabulary.files(), [token.entry() for token in self.added.values()]
        if "tokenizer.json" in files:
            document = json.loads(files["tokenizer.json"]) | {"added_tokens": entries}
            files["tokenizer.json"] = _json_bytes(document)
        table = {str(entry.pop("id")): entry for entry in entries}
        files["tokenizer_config.json"] = _json_bytes(self.config | {"added_tokens_decoder": table})
        for name, content in files.items():
            (target / name).write_bytes(content)


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
