"""Log-probabilities as the two older endpoints write them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.engine.completion import TokenLogprob


class TokenWriter:
    """Writes tokens of one tokenizer: their text, and the bytes where a character lies over several."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def text(self, token: int) -> str:
        """A token as readable text; one that is a part of a character is spelled, as OpenAI does."""
        spelled = self.bytes(token)
        try:
            return spelled.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelled)

    def bytes(self, token: int) -> bytes:
        """The bytes of a token; those of its name for a special one."""
        return self._tokenizer.written[token]

    def chat(self, found: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        """`logprobs.content` of a chat completion."""
        return [
            self._entry(one.id, one.logprob) | {"top_logprobs": [self._entry(*pair) for pair in one.top]}
            for one in found
        ]

    def completion(self, found: Sequence[TokenLogprob], offset: int = 0) -> dict[str, Any]:
        """`logprobs` of a completion; `offset`: characters in front of the first token."""
        widths = [self.width([one]) for one in found]
        return {
            "tokens": [self.text(one.id) for one in found],
            "token_logprobs": [one.logprob for one in found],
            "top_logprobs": [{self.text(token): logprob for token, logprob in one.top} for one in found],
            "text_offset": [offset + before for before in accumulate([0, *widths])][: len(found)],
        }

    def width(self, found: Sequence[TokenLogprob]) -> int:
        """Characters of tokens; parts of characters have none."""
        return sum(len(self.bytes(one.id).decode(errors="ignore")) for one in found)

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self.text(token), "logprob": logprob, "bytes": list(self.bytes(token))}
