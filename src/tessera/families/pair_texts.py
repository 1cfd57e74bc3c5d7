"""How a pair writes texts: for the shared space, for matching, and as captions (docs/facts/pair.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import Field

from tessera.chat.tokenizer import Tokenizer
from tessera.runtime.config import Config


class TextRules(Config):
    """Words before a text, and how long it may be."""

    contrast_prefix: str = "summarize:"
    caption_prompt: str = "English caption:"
    max_tokens: Annotated[int, Field(ge=3)] = 80
    """Tokens of a text with prefix, bos and eos; what is longer loses its end, never its eos."""


class Prompted(NamedTuple):
    """A prompt and its answer as ids; the first `prompt` of them are the prompt."""

    ids: list[int]
    prompt: int


@dataclass(frozen=True)
class PairTexts:
    """Texts to ids. Special strings in a text stay characters."""

    tokenizer: Tokenizer
    bos: int
    eos: int
    rules: TextRules = TextRules()

    def contrast(self, text: str) -> list[int]:
        """bos, prefix and text, eos: its last token stands for the text."""
        return self._closed(self.rules.contrast_prefix + text)

    def matching(self, text: str) -> list[int]:
        """bos, text, eos."""
        return self._closed(text)

    def prompt(self, prompt: str | None = None) -> list[int]:
        """bos and the words that ask for a caption, None the published ones."""
        return [self.bos, *self._plain(self.rules.caption_prompt if prompt is None else prompt)]

    def caption(self, text: str, prompt: str | None = None) -> Prompted:
        """Prompt, text and eos: what generation is trained on. The text is written as if it stood alone."""
        asked = self.prompt(prompt)
        room = self.rules.max_tokens - len(asked) - 1
        if room < 1:
            raise ValueError(f"prompt = {prompt!r}: {len(asked)} tokens leave none for a caption")
        return Prompted([*asked, *self._plain(text)[:room], self.eos], len(asked))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as `contrast` reads it."""
        return [len(self.contrast(text)) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """A caption's text, without special tokens and the space around it."""
        return self.tokenizer.decode(ids).strip()

    def _closed(self, text: str) -> list[int]:
        return [self.bos, *self._plain(text)[: self.rules.max_tokens - 2], self.eos]

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer.encode_plain(text)
