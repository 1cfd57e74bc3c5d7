"""Talks about one question through the model: what they begin with once, and only scores of verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tessera.align.critics.written import Ids, WrittenTalk
from tessera.chat.positions import branched_positions, v2pe_positions
from tessera.engine.chat_model import ChatModel
from tessera.engine.sampling.choose import forbid
from tessera.nn.attention.layout import Branched, Layout, Packed


@dataclass(frozen=True)
class TalkScores:
    """What the model expects in a talk, on the CPU.

    signs: float32 [n, 2] scores of + and - in the places of the n verdicts; best: int64 [n, 2] the likeliest
    token there, and behind the verdict.
    """

    signs: torch.Tensor
    best: torch.Tensor


class TooLongTalk(ValueError):
    """A talk, by its number, is longer than the model's context."""

    def __init__(self, number: int, detail: str) -> None:
        super().__init__(detail)
        self.number, self.detail = number, detail


@dataclass(frozen=True)
class TalkScorer:
    """One model. signs: ids of + and -; most_tokens: of a stream, unless one talk has more."""

    model: ChatModel
    signs: tuple[int, int]
    most_tokens: int

    @torch.inference_mode()
    def scores(self, talks: Sequence[WrittenTalk], features: torch.Tensor | None) -> list[TalkScores]:
        """Of each talk as if it were alone; all share the pictures whose `features` [N, M, D] these are.

        Raises TooLongTalk.
        """
        lengths = [self._length(talk, number) for number, talk in enumerate(talks)]
        shared = _shared([talk.ids for talk in talks])
        most = 0 if self._bent(max(lengths)) else self.most_tokens
        found: list[TalkScores] = []
        for group in _groups(talks, shared, most):
            found += self._of_group(group, shared if len(group) > 1 else 0, features)
        return found

    def _of_group(
        self, talks: Sequence[WrittenTalk], shared: int, features: torch.Tensor | None
    ) -> list[TalkScores]:
        """Of talks in one stream, all of which begin with the `shared` tokens; 0 for a single talk."""
        vlm, family = self.model.loaded.model, self.model.family
        branches = tuple(len(talk.ids) - shared for talk in talks) if shared else ()
        ids = np.concatenate([talks[0].ids[:shared], *(talk.ids[shared:] for talk in talks)])
        layout: Layout = Branched.of((len(ids),), (branches,)) if shared else Packed((len(ids),))
        positions = branched_positions(ids, branches, vlm.config.image_token_id, family.visual_increment)
        rows, back = torch.tensor(_places(talks, shared)).unique(return_inverse=True)
        hidden = vlm(
            torch.from_numpy(ids).long(),
            layout,
            torch.from_numpy(positions),
            features=features,
            rows=rows.to(vlm.decoder.norm.weight.device),
        )
        logits = forbid(vlm.logits(hidden), vlm.config.placeholder_ids, self.model.tokenizer.vocab_size)
        best = logits.argmax(-1).cpu()[back].view(-1, 2)
        signs = logits[:, list(self.signs)].float().cpu()[back].view(-1, 2, 2)[:, 0]
        counts = [len(talk.places) for talk in talks]
        return [TalkScores(*each) for each in zip(signs.split(counts), best.split(counts), strict=True)]

    def _length(self, talk: WrittenTalk, number: int) -> int:
        """Positions that a talk takes."""
        config, increment = self.model.loaded.model.config, self.model.family.visual_increment
        length = int(v2pe_positions(talk.ids, config.image_token_id, increment)[-1]) + 1
        if length > config.decoder.longest_context:
            raise TooLongTalk(
                number,
                f"question and steps have {len(talk.ids)} tokens, but the model was made for "
                f"{config.decoder.longest_context} positions; give fewer tiles, or leave it out",
            )
        return length

    def _bent(self, length: int) -> bool:
        """Whether angles depend on the length of a talk that long, so that no other may share a token."""
        decoder = self.model.loaded.model.config.decoder
        scaling = decoder.rope_scaling
        return scaling is not None and scaling.needs_reach and length > decoder.trained_length


def _places(talks: Sequence[WrittenTalk], shared: int) -> list[int]:
    """In the stream, for every verdict of every talk: the place before it, and its own."""
    found, start = [], 0  # start: how much further back than alone a talk's own tokens stand
    for talk in talks:
        alone = [place for verdict in talk.places for place in (verdict - 1, verdict)]
        found += [place if place < shared else place + start for place in alone]
        start += len(talk.ids) - shared
    return found


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
