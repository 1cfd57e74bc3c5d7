"""What a chat model gives for the samples of a pack: states, and log-probabilities of several answers."""

from dataclasses import dataclass

import torch

from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Branched, Layout, Packed
from tessera.nn.cross_entropy import target_logprobs
from tessera.nn.experts.balance import balance_loss, router_scores
from tessera.packing.pack import Pack


@dataclass(frozen=True)
class AnswerLogprobs:
    """The supervised tokens of all answers of a pack, in their order.

    logprobs float32 [R], of each behind the prompt and what the answer has before it; owner int64 [R], the
    number of its answer; `answers` of them in all.
    """

    logprobs: torch.Tensor
    owner: torch.Tensor
    answers: int

    @property
    def sums(self) -> torch.Tensor:
        """float64 [answers]: the log-probability of each whole answer."""
        return self._added(self.logprobs.double())

    @property
    def lengths(self) -> torch.Tensor:
        """float64 [answers]: supervised tokens of each."""
        return self._added(torch.ones_like(self.logprobs, dtype=torch.float64))

    def _added(self, values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(self.answers).index_add(0, self.owner, values)


def answer_logprobs(model: VLM, pack: Pack, device: torch.device) -> AnswerLogprobs:
    """Log-probabilities of the answers of samples that have several, by one pass over the pack.

    Prompts and pictures that answers share are computed once.
    """
    layout = layout_of(pack)
    answers = number_answers(layout)
    targets = pack.weights.nonzero()[:, 0]
    owner = answers.repeat_interleave(torch.tensor(layout.lengths))[targets]
    targets, owner = targets[owner >= 0], owner[owner >= 0]
    # Several answers begin behind the same token of their prompt: it is asked once.
    rows, places = layout.before()[targets].unique(return_inverse=True)
    hidden = states_of(model, pack, rows, device).index_select(0, places.to(device))
    decoder = model.decoder
    logprobs = target_logprobs(
        decoder.lm_head, hidden, pack.ids[targets].to(device), decoder.config.vocab_size
    )
    return AnswerLogprobs(logprobs, owner.to(device), int(answers.max()) + 1)


def layout_of(pack: Pack) -> Layout:
    """Who sees whom: each sample itself, each of several answers its prompt and itself."""
    return Branched.of(pack.lengths, pack.branches) if any(pack.branches) else Packed(pack.lengths)


def number_answers(layout: Layout) -> torch.Tensor:
    """int64 [pieces] of a layout: the number of the answer that each is, -1 for other pieces."""
    if not isinstance(layout, Branched):
        return torch.full((len(layout.lengths),), -1)
    behind = torch.tensor(layout.roots) != torch.arange(len(layout.roots))
    return torch.where(behind, behind.cumsum(0) - 1, -1)


def balanced_states(
    model: VLM, pack: Pack, rows: torch.Tensor, device: torch.device, share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `states_of`, and `share` times the balance loss of the pack's experts, whose routers see all tokens
    of the samples in every block; padding does not count."""
    experts = model.config.decoder.experts
    assert experts is not None
    counts = torch.tensor([bool(key) for key in pack.keys])
    if not counts.any():  # a batch for a rank that has none: nothing of it is learned
        counts = ~counts
    counted = counts.repeat_interleave(torch.tensor(pack.lengths))
    with router_scores(model) as scores:
        states = states_of(model, pack, torch.arange(len(pack.ids)), device)
    added = share * balance_loss(scores, experts.top_k, counted).to(device)
    return states.index_select(0, rows.to(device)), added


def states_of(model: VLM, pack: Pack, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Final hidden states [R, D] at some places int64 [R] of a pack, ascending."""
    owned, spare = (
        part.to(device) if len(part) else None
        for part in pack.tiles.tensor_split([sum(pack.tiles_per_sample)])
    )
    places = None if pack.positions is None else pack.positions.to(device)
    out: torch.Tensor = model(
        *(pack.ids, layout_of(pack), places, owned),
        **{"rows": rows.to(device), "spare": spare, "sounds": pack.sounds},
    )
    return out
