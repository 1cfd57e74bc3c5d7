"""Interleaved documents for pre-training: no roles, and a loss on all text, none on pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.chat.encoder import Encoded, Encoder, Lengths
from tessera.chat.message import Conversation, Message, Text
from tessera.imaging.grid import Tiling


class DocumentEncoder:
    """An `Encoder` that writes all parts of a conversation in their order, ended by the stop token."""

    def __init__(self, encoder: Encoder) -> None:
        plain = replace(
            encoder.template,
            name=f"{encoder.template.name} document",
            system_text="",
            system_prefix="",
            system_end="",
            user_prefix="",
            user_end=encoder.template.stop,
            assistant_prefix="",
            strip=False,
        )
        self._encoder = replace(encoder, template=plain, system_text="")
        tokens = encoder.template.tokens
        picture = (tokens.start, tokens.context, tokens.end)
        self._silent = np.array([encoder.tokenizer.token_id(text) for text in picture], dtype=np.int32)

    @property
    def tiling(self) -> Tiling:
        """How pictures are cut."""
        return self._encoder.tiling

    @property
    def frames(self) -> int:
        """Frames of a clip on disk that doesn't say how many."""
        return self._encoder.frames

    def describe(self) -> dict[str, Any]:
        """The settings of the encoder, with the template's other name."""
        return dict(self._encoder.describe())

    def measure(self, conversation: Conversation) -> Lengths:
        """Tokens, tiles and trained tokens; headers only."""
        ids = self._encoder.prompt_ids(as_document(conversation))
        slots = int(np.count_nonzero(ids == self._silent[1]))
        return Lengths(len(ids), slots // self._encoder.tokens_per_tile, int(self._weights(ids).sum()))

    def encode(self, conversation: Conversation) -> Encoded:
        """Ids, tiles, and a weight of 1 on every token of text but the first of all."""
        encoded = self._encoder.encode(as_document(conversation))
        return replace(encoded, weights=self._weights(encoded.ids))

    def _weights(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        weights = (~np.isin(ids, self._silent)).astype(np.float32)
        weights[0] = 0  # nothing predicts it
        return weights


def as_document(conversation: Conversation) -> Conversation:
    """All parts of all messages as one message, empty texts left out. ValueError when none is left."""
    parts = tuple(
        p for m in conversation.messages for p in m.parts if not (isinstance(p, Text) and not p.text)
    )
    if not parts:
        raise ValueError("document: it has neither text nor pictures; leave the record out")
    return Conversation((Message("user", parts),))
