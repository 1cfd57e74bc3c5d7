"""How far a model in few bits is from the one that it was made of, on the same questions.

Both answer greedily. Then the first one's answers are fed to both, and their distributions compared at every
token: KL in nats, from the first to the second.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice

import torch

from tessera.chat.message import Conversation
from tessera.engine.answer import Answer
from tessera.engine.chat_model import ChatModel, Prompt
from tessera.engine.comparing import (
    LayerPairs,
    LayerWatch,
    by_block,
    few_bit_pairs,
    forced_scores,
    swapped,
    weight_error,
)
from tessera.evaluation.runner import grade_answer
from tessera.evaluation.tasks import HeldoutItem, choose_tasks, heldout_items
from tessera.runtime.progress import Progress, silent

Fed = tuple[Prompt, tuple[int, ...]]
"""A prompt, and the ids of the answer that both models are fed."""
AT_ONCE = 64
"""Questions that are answered together."""


@dataclass(frozen=True)
class DriftQuestion:
    """What is asked, where it is from, and whether an answer is right, if somebody knows."""

    prompt: Conversation
    source: str
    grade: Callable[[str], bool] | None = None


@dataclass(frozen=True)
class AnswerPair:
    """Both answers to a question, the mean KL over its tokens, and whether the two are right, if known."""

    question: DriftQuestion
    before: str
    after: str
    kl: float
    right: tuple[bool, bool] | None

    @property
    def changed(self) -> bool:
        """Whether the two are other words."""
        return self.before != self.after


@dataclass(frozen=True)
class LayerDrift:
    """A linear in few bits: relative change of its weight, and of its results on the questions' inputs."""

    name: str
    weight_error: float
    output_error: float


@dataclass(frozen=True)
class BlockDrift:
    """Mean KL over tokens when the linears of this block alone are in few bits."""

    name: str
    kl: float


@dataclass(frozen=True)
class Drift:
    """Everything that was measured. KL: mean, 99th percentile and largest over `tokens` tokens.

    same_best: share of tokens at which both hold the same one most likely. blocks: none where not asked for.
    """

    answers: tuple[AnswerPair, ...]
    tokens: int
    kl_mean: float
    kl_p99: float
    kl_max: float
    same_best: float
    layers: tuple[LayerDrift, ...]
    blocks: tuple[BlockDrift, ...]
    block_questions: int

    @property
    def changed(self) -> int:
        """Answers that are other words."""
        return sum(pair.changed for pair in self.answers)

    @property
    def right(self) -> tuple[int, int, int]:
        """Right answers before and after, out of how many that can be told."""
        known = [pair.right for pair in self.answers if pair.right is not None]
        return sum(first for first, _ in known), sum(second for _, second in known), len(known)

    def summary(self) -> dict[str, object]:
        """Every figure as plain JSON values, and the answers that changed."""
        before, after, known = self.right
        return {
            "questions": len(self.answers),
            "answers_changed": self.changed,
            "share_changed": self.changed / len(self.answers),
            "right": {"before": before, "after": after, "of": known} if known else None,
            "tokens": self.tokens,
            "kl_mean": self.kl_mean,
            "kl_p99": self.kl_p99,
            "kl_max": self.kl_max,
            "same_best_token": self.same_best,
            "layers": [asdict(layer) for layer in self.layers],
            "blocks": [asdict(block) for block in self.blocks],
            "block_questions": self.block_questions,
            "changed": [
                {"from": pair.question.source, "before": pair.before, "after": pair.after, "kl": pair.kl}
                for pair in self.answers
                if pair.changed
            ],
        }


def playground_questions(count: int, tasks: Sequence[str] = ()) -> list[DriftQuestion]:
    """So many held-out questions of the playground, its tasks in turn, none of them from training."""
    names = choose_tasks(tasks)
    each = [heldout_items(task, -(-count // len(names))) for task in names]
    items = [item for turn in zip(*each, strict=True) for item in turn]
    return [
        DriftQuestion(item.prompt("picture"), item.question.task, partial(_is_right, item))
        for item in items[:count]
    ]


def _is_right(item: HeldoutItem, said: str) -> bool:
    return grade_answer(item, Answer(said)).right


def measure_drift(
    before: ChatModel,
    after: ChatModel,
    questions: Iterable[DriftQuestion],
    *,
    max_new_tokens: int = 48,
    block_questions: int = 8,
    progress: Progress = silent,
) -> Drift:
    """Ask both models; block_questions: how many of the questions each block alone is tried on, 0 for none.

    Raises ValueError where there are no questions, and for scores that are not finite.
    """
    asked, prompts = [], []
    for question in questions:
        asked.append(question)
        prompts.append(before.prompt(question.prompt, max_new_tokens=max_new_tokens))
    if not asked:
        raise ValueError("questions: there are none; give at least one")
    pairs = few_bit_pairs(before, after)
    ids, first = _answers(before, prompts, progress)
    _, second = _answers(after, prompts, progress)
    fed = list(zip(prompts, ids, strict=True))
    divergences, same, errors = _every_token(before, after, fed, pairs, progress)
    every, few = torch.cat(divergences), fed[:block_questions]
    means = [float(each.mean()) for each in divergences]
    return Drift(
        answers=tuple(_pair(*each) for each in zip(asked, first, second, means, strict=True)),
        tokens=len(every),
        kl_mean=float(every.mean()),
        kl_p99=float(every.quantile(0.99)),
        kl_max=float(every.max()),
        same_best=same / len(every),
        layers=tuple(LayerDrift(name, weight_error(pair), errors[name]) for name, pair in pairs.items()),
        blocks=tuple(_blocks(before, pairs, few, progress)) if few else (),
        block_questions=len(few),
    )


def _every_token(
    before: ChatModel, after: ChatModel, fed: Sequence[Fed], pairs: LayerPairs, progress: Progress
) -> tuple[list[torch.Tensor], int, dict[str, float]]:
    """KL of each answer's tokens, how many have the same best one, and the errors of single layers."""
    divergences: list[torch.Tensor] = []
    same, watch = 0, LayerWatch(pairs)
    for each in fed:
        with watch:
            wanted = forced_scores(before, *each)
        found = forced_scores(after, *each)
        divergences.append(divergence(wanted, found))
        same += int((wanted.argmax(-1) == found.argmax(-1)).sum())
        progress("tokens compared", len(divergences), len(fed))
    return divergences, same, watch.errors()


def divergence(wanted: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """KL float64 [T], in nats, between log-probabilities [T, V]: from the first to the second."""
    first, second = wanted.double(), found.double()
    return (first.exp() * (first - second)).sum(-1).clamp_min(0.0)


def _answers(
    model: ChatModel, prompts: Sequence[Prompt], progress: Progress
) -> tuple[list[tuple[int, ...]], list[str]]:
    """Ids and words of greedy answers."""
    ids, words = [], []
    waiting = iter(prompts)
    while chunk := list(islice(waiting, AT_ONCE)):
        for completion in model.complete(chunk):
            ids.append(completion.sound().ids)
            words.append(completion.text.strip())
        progress("answers", len(ids), len(prompts))
    return ids, words


def _pair(question: DriftQuestion, before: str, after: str, kl: float) -> AnswerPair:
    right = question.grade and (question.grade(before), question.grade(after))
    return AnswerPair(question, before, after, kl, right)


def _blocks(
    model: ChatModel,
    pairs: LayerPairs,
    asked: Sequence[Fed],
    progress: Progress,
) -> Iterable[BlockDrift]:
    wanted = [forced_scores(model, *each) for each in asked]
    groups = by_block(list(pairs))
    for number, (block, names) in enumerate(groups.items(), 1):
        with swapped(model, pairs, names):
            found = [forced_scores(model, *each) for each in asked]
        kl = torch.cat([divergence(*both) for both in zip(wanted, found, strict=True)])
        yield BlockDrift(block, float(kl.mean()))
        progress("blocks tried alone", number, len(groups))
