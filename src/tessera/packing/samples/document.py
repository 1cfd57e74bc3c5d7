"""Interleaved documents for pre-training: no roles, and a loss on all text, none on pictures."""

from dataclasses import replace
from typing import Self

import numpy as np
import numpy.typing as npt

from tessera.chat.encoder import Encoded, Encoder, Lengths
from tessera.chat.message import Conversation, Message, Text


class DocumentEncoder(Encoder):
    """An `Encoder` that writes all parts of a conversation in their order, ended by the stop token."""

    @classmethod
    def of(cls, encoder: Encoder) -> Self:
        """The same settings, and a template without roles."""
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
        return cls(**vars(encoder) | {"template": plain, "system_text": ""})

    def measure(self, conversation: Conversation) -> Lengths:
        """Tokens, tiles and trained tokens; headers only."""
        ids = self.prompt_ids(as_document(conversation))
        slots = int(np.count_nonzero(ids == self.tokenizer.token_id(self.template.tokens.context)))
        return Lengths(len(ids), slots // self.tokens_per_tile, int(self._weights(ids).sum()))

    def encode(
        self,
        conversation: Conversation,
        generate: bool = False,
        most_visual: int | None = None,
        prefill: str = "",
    ) -> Encoded:
        """Ids, tiles, and a weight of 1 on every token of text but the first of all."""
        encoded = super().encode(as_document(conversation), generate, most_visual)
        return replace(encoded, weights=self._weights(encoded.ids))

    def _weights(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        tokens = self.template.tokens
        silent = [self.tokenizer.token_id(text) for text in tokens.pictures]
        weights = (~np.isin(ids, silent)).astype(np.float32)
        weights[0] = 0  # nothing predicts it
        return weights


def as_document(conversation: Conversation) -> Conversation:
    """All parts of all messages as one message, empty texts left out.

    ValueError when none is left, and for several answers.
    """
    if conversation.alternatives:
        raise ValueError("document: it has several answers; read a preference record without pretraining")
    parts = tuple(
        p for m in conversation.messages for p in m.parts if not (isinstance(p, Text) and not p.text)
    )
    if not parts:
        raise ValueError("document: it has neither text nor pictures; leave the record out")
    return Conversation((Message("user", parts),))
