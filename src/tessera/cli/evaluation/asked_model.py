"""Who answers a benchmark's questions: a model here or one behind an address, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tessera.chat.openai import read_messages
from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import read_description
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.serving.serve import KEY, called
from tessera.runtime.http import Endpoint
from tessera.runtime.shown import shown

if TYPE_CHECKING:
    from tessera.chat.encoder import Encoder
    from tessera.cli.evaluation.command import EvaluateCommand

OURS = "tessera"
"""How our server calls itself the owner of its models."""


@dataclass(frozen=True)
class AskedModel:
    """name: of the model. context: tokens of prompt and answer at most, where it is known.

    ours: takes what OpenAI's form lacks, such as the tiles of a picture. encoder: of a model here.
    """

    name: str
    context: int | None
    ours: bool
    encoder: Encoder | None = None

    @classmethod
    def of(cls, command: EvaluateCommand) -> AskedModel:
        """ValueError for a server that can't be asked, and a model that is not there."""
        if command.endpoint is not None:
            with closing(Endpoint(command.endpoint, os.environ.get(KEY), command.http)) as endpoint:
                return cls._behind(endpoint.get("/v1/models"), command.name, command.endpoint)
        name = called(command.model) or "shipped"
        found = read_description(
            shipped_folder() if command.model is None else find_checkpoint(command.model)
        )
        context = found.family.model.decoder.longest_context
        return cls(command.name or name, context, True, found.family.encoder(found.tokenizer))

    @classmethod
    def _behind(cls, listed: Any, name: str | None, address: str) -> AskedModel:
        models = listed.get("data") if isinstance(listed, Mapping) else None
        each = [model for model in models or () if isinstance(model, Mapping) and "id" in model]
        chosen = next((model for model in each if name in (None, model["id"])), None)
        if chosen is None:
            names = ", ".join(shown(model["id"], bare=True) for model in each[:5])
            has = f"it lists {names}" if names else "it lists no model"
            raise ValueError(f"--name {shown(name)}: {shown(address)} has no such model; {has}")
        context = chosen.get("max_model_len")
        longest = context if isinstance(context, int) else None
        return cls(str(chosen["id"]), longest, chosen.get("owned_by") == OURS)

    def room(self, wanted: int) -> int:
        """Tokens for an answer: what is wanted, or half of a context that is too short for it."""
        return wanted if self.context is None or wanted < self.context else max(1, self.context // 2)

    def describe(self) -> Any:
        """What tells tiles and tokens of messages; None where nothing does."""
        return None if self.encoder is None else partial(described, self.encoder)


def described(encoder: Encoder, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Columns and rows in which each picture is cut, and tokens of the prompt."""
    talk = read_messages(messages)
    return {"tiles": encoder.grids(talk), "prompt_tokens": encoder.measure(talk).tokens}
