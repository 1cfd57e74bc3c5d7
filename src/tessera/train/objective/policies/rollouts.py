"""Groups of responses that the model itself has just given, with what they are worth, as batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import torch

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation
from tessera.packing.config import Limits
from tessera.packing.pack import Pack, Sample, collate

SPREAD = 1e-4
"""Added to the spread of a group's rewards before they are divided by it."""


@dataclass(frozen=True)
class PolicyPrompt:
    """A question to be answered several times: its key, the talk up to it, its ids and tiles, what is right,
    and a seed for each answer."""

    key: str
    conversation: Conversation
    prompt: Encoded
    target: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class PolicyResponse:
    """Tokens that were drawn, with the one that ended them where one did, and what they are worth."""

    ids: tuple[int, ...]
    reward: float
    whole: bool = True
    """Whether it came to an end of its own."""


Respond = Callable[[Sequence[PolicyPrompt], Any], list[list[PolicyResponse]]]
"""Prompts and the model, in evaluation mode, to a response for each seed of each prompt."""


@dataclass(frozen=True)
class PolicyBatch(Pack):
    """A pack of prompts with their responses; advantages, rewards and whole float32 [responses]."""

    advantages: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    rewards: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    whole: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    @classmethod
    def of(cls, pack: Pack, rows: Sequence[tuple[float, float, bool]]) -> Self:
        """A pack with advantage, reward and wholeness of each of its responses."""
        gains, rewards, whole = torch.tensor(rows, dtype=torch.float32).reshape(-1, 3).unbind(1)
        values: dict[str, Any] = {each.name: getattr(pack, each.name) for each in fields(pack)}
        return cls(**values, advantages=gains, rewards=rewards, whole=whole)


def advantages(rewards: Sequence[float], scaled: bool) -> list[float]:
    """Of a group: how far each reward is above their mean; `scaled` by their sample deviation (GRPO, arXiv
    2402.03300), or not (Dr. GRPO, 2503.20783)."""
    values = np.array(rewards, dtype=np.float64)
    above = values - values.mean()
    if scaled and len(values) > 1:
        above = above / (values.std(ddof=1) + SPREAD)
    found: list[float] = above.tolist()
    return found


Row = tuple[float, float, bool]


def group_samples(
    asked: PolicyPrompt, responses: Sequence[PolicyResponse], scaled: bool, limits: Limits
) -> Iterator[tuple[Sample, list[Row]]]:
    """A prompt with its responses behind it; several times where all do not fit into a pack.

    ValueError for a response that does not fit with its prompt.
    """
    rows = zip(advantages([r.reward for r in responses], scaled), responses, strict=True)
    room, held = limits.max_tokens - len(asked.prompt.ids), list[tuple[float, PolicyResponse]]()
    for row in rows:
        length = len(row[1].ids)
        if length > room:
            raise ValueError(
                f"{asked.key}: {len(asked.prompt.ids)} tokens of the prompt and {length} of a response are "
                f"more than packing.max_tokens = {limits.max_tokens}; raise it, or lower "
                "objective.max_new_tokens"
            )
        if held and sum(len(r.ids) for _, r in held) + length > room:
            yield _sample(asked, held)
            held = []
        held.append(row)
    yield _sample(asked, held)


def _sample(asked: PolicyPrompt, held: Sequence[tuple[float, PolicyResponse]]) -> tuple[Sample, list[Row]]:
    said = [np.array(response.ids, dtype=np.int32) for _, response in held]
    learned = np.concatenate([np.zeros(len(asked.prompt.ids)), np.ones(sum(map(len, said)))])
    sample = Sample(
        asked.key,
        np.concatenate([asked.prompt.ids, *said]),
        learned.astype(np.float32),
        asked.prompt.tiles,
        branches=tuple(map(len, said)),
        sounds=asked.prompt.sounds,
    )
    return sample, [(advantage, r.reward, r.whole) for advantage, r in held]


def in_packs(samples: Sequence[tuple[Sample, list[Row]]], limits: Limits) -> Iterator[PolicyBatch]:
    """Samples in their order, as many in a pack as it holds."""
    held: list[tuple[Sample, list[Row]]] = []
    for each in samples:
        together = [*held, each]
        tokens, tiles = (sum(getattr(s.lengths, name) for s, _ in together) for name in ("tokens", "tiles"))
        if held and (tokens > limits.max_tokens or tiles > limits.max_tiles):
            yield _batch(held)
            held = []
        held.append(each)
    if held:
        yield _batch(held)


def _batch(held: Sequence[tuple[Sample, list[Row]]]) -> PolicyBatch:
    return PolicyBatch.of(collate([sample for sample, _ in held]), [row for _, rows in held for row in rows])
