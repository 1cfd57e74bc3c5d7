"""How an answer is asked for: our settings, and the words of the model cards' `generation_config`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError

from tessera.engine.request import Sampling
from tessera.models.config import VLMConfig
from tessera.models.positions import v2pe_positions

DEFAULT_NEW_TOKENS = 1024
"""Longest answer when nobody says, as in the model cards; less where the context is nearly full."""

CARD_TOP_K = 50
"""What `do_sample=True` draws from in the cards' library when no top_k is given."""


class SamplingOptions(TypedDict, total=False):
    """Keywords of `ChatModel.chat`, `stream` and `batch`; fields of `Sampling` and the cards' own words."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    seed: int
    stop: tuple[str, ...]
    do_sample: bool
    num_beams: int


class AskOptions(SamplingOptions, total=False):
    """Keywords that belong to one question; `ChatModel` says what they mean."""

    num_patches_list: Sequence[int] | None
    system: str | None
    max_tiles: int | None
    visual_increment: float


def read_options(options: Mapping[str, Any]) -> Sampling:
    """The sampling that keywords ask for; ValueError names a keyword that is unknown or out of range.

    Without `do_sample` the temperature alone decides (0, the default, takes the best token). With it the
    words mean what they mean on the model cards: False is greedy whatever the temperature, True draws at
    temperature 1 from the 50 best tokens unless told otherwise.
    """
    fields = dict(options)
    drawn = fields.pop("do_sample", None)
    if (beams := fields.pop("num_beams", 1)) != 1:
        raise ValueError(f"num_beams = {beams}: beam search is not offered; leave it out")
    if drawn is True:
        fields = {"temperature": 1.0, "top_k": CARD_TOP_K} | fields
    elif drawn is False:
        fields |= {"temperature": 0.0}
    if isinstance(fields.get("stop"), str):
        fields["stop"] = (fields["stop"],)
    known = set(Sampling.model_fields)
    if unknown := sorted(set(fields) - known):
        choices = ", ".join(sorted(known | {"do_sample"}))
        raise ValueError(f"{unknown[0]} = {fields[unknown[0]]!r}: no such setting; choose from {choices}")
    try:
        return Sampling(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        named = message if first["type"] == "value_error" else f"{first['loc'][0]}: {message}"
        raise ValueError(named) from error


def fit_answer(
    prompt: npt.NDArray[np.int32],
    sampling: Sampling,
    config: VLMConfig,
    visual_increment: float,
    limited: bool,
) -> Sampling:
    """The sampling with an answer that fits behind the prompt, ids int32 [T].

    `limited` says that the caller chose max_new_tokens: then too long an answer is an error, otherwise it is
    shortened to the room there is. Raises ValueError when there is none.
    """
    ids = torch.from_numpy(prompt).long()
    used = int(v2pe_positions(ids, config.image_token_id, visual_increment)[-1]) + 1
    longest = config.decoder.longest_context
    wanted = sampling.max_new_tokens if limited else 1
    if used + wanted > longest:
        tiles = int((ids == config.image_token_id).sum()) // config.tokens_per_tile
        raise ValueError(
            f"the prompt has {len(ids)} tokens ({tiles} tiles) and max_new_tokens is {wanted}, "
            f"but the model was made for {longest} positions: give fewer pictures, frames or tiles "
            "(max_tiles=...), shorter text, or a smaller visual_increment"
        )
    if limited:
        return sampling
    return sampling.model_copy(update={"max_new_tokens": min(DEFAULT_NEW_TOKENS, longest - used)})
