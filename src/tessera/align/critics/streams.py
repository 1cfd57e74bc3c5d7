"""Talks about one question through the model: what they begin with once, and only scores of verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tessera.align.critics.written import Ids, WrittenTalk
from tessera.chat.positions import branched_positions, v2pe_positions
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Branched


@dataclass(frozen=True)
class TalkScores:
    """What the model expects in a talk, on the CPU.

    signs: float32 [n, V'] scores in the places of the n verdicts, of the asked ids; best: int64 [n, 2] the
    likeliest token there, and behind the verdict.
    """

    signs: torch.Tensor
    best: torch.Tensor


@torch.inference_mode()
def score_talks(
    model: VLM,
    talks: Sequence[WrittenTalk],
    features: torch.Tensor | None,
    signs: Sequence[int],
    increment: float,
    most_tokens: int,
) -> list[TalkScores]:
    """Scores of each talk as if it were alone; all share the pictures whose `features` [N, M, D] these are.

    A stream holds at most `most_tokens`, or one talk. ValueError naming the talk that is longer than the
    model's context.
    """
    for number, talk in enumerate(talks):
        _require_room(model, talk, increment, number)
    shared = _shared([talk.ids for talk in talks])
    found: list[TalkScores] = []
    for group in _groups(talks, shared, most_tokens):
        found += _score_group(model, group, shared, features, signs, increment)
    return found


def _score_group(
    model: VLM,
    talks: Sequence[WrittenTalk],
    shared: int,
    features: torch.Tensor | None,
    signs: Sequence[int],
    increment: float,
) -> list[TalkScores]:
    branches = tuple(len(talk.ids) - shared for talk in talks)
    ids = np.concatenate([talks[0].ids[:shared], *(talk.ids[shared:] for talk in talks)])
    positions = branched_positions(ids, branches, model.config.image_token_id, increment)
    starts = np.cumsum([0, *branches[:-1]])  # how much further behind a talk's end stands in the stream
    places = [
        place if place < shared else place + int(start)
        for talk, start in zip(talks, starts, strict=True)
        for verdict in talk.places
        for place in (verdict - 1, verdict)
    ]
    rows, back = torch.tensor(places).unique(return_inverse=True)
    layout = Branched.of((len(ids),), (branches,))
    device = model.decoder.norm.weight.device
    hidden = model(
        torch.from_numpy(ids).long(),
        layout,
        torch.from_numpy(positions),
        features=features,
        rows=rows.to(device),
    )
    logits = model.logits(hidden).float()
    best = logits.argmax(-1).cpu()[back].view(-1, 2)
    chosen = logits[:, list(signs)].cpu()[back].view(-1, 2, len(signs))[:, 0]
    counts = [len(talk.places) for talk in talks]
    return [TalkScores(*each) for each in zip(chosen.split(counts), best.split(counts), strict=True)]


def _groups(talks: Sequence[WrittenTalk], shared: int, most_tokens: int) -> Iterator[Sequence[WrittenTalk]]:
    """Talks in order, so many together as a stream may hold."""
    group: list[WrittenTalk] = []
    tokens = shared
    for talk in talks:
        own = len(talk.ids) - shared
        if group and tokens + own > most_tokens:
            yield group
            group, tokens = [], shared
        group.append(talk)
        tokens += own
    yield group


def _shared(ids: Sequence[Ids]) -> int:
    """Tokens that all begin with; every one has at least one token more."""
    shortest = min(map(len, ids))
    first = ids[0][:shortest]
    differ = np.zeros(shortest, dtype=bool)
    for other in ids[1:]:
        differ |= other[:shortest] != first
    same = int(differ.argmax()) if differ.any() else shortest
    return min(same, shortest - 1)


def _require_room(model: VLM, talk: WrittenTalk, increment: float, number: int) -> None:
    last = v2pe_positions(talk.ids, model.config.image_token_id, increment)[-1]
    longest = model.config.decoder.longest_context
    if last >= longest:
        raise ValueError(
            f"responses[{number}]: question and steps have {len(talk.ids)} tokens, but the model was made "
            f"for {longest} positions; give fewer tiles, or leave it out"
        )
