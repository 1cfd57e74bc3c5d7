"""Several answers to every held-out question, and how good a choice among them is, by their number."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation
from tessera.engine.answer import Answer
from tessera.engine.completion import Completion
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.runner import Answered, TaskResults, gather, grade_answer
from tessera.evaluation.tasks import HeldoutItem, choose_tasks, heldout_items, most_tokens
from tessera.playground.questions.steps import ANNOUNCED
from tessera.playground.talk import Mode
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.scoring.exact import grade
from tessera.scoring.extract import final_answer
from tessera.scoring.reasoned.extraction import FinalAnswer
from tessera.scoring.selection.choosing import select
from tessera.scoring.selection.curve import any_right, expected_right, sizes
from tessera.scoring.selection.responses import read_answer
from tessera.scoring.selection.rule import Candidate, SelectionRule

Scores = Callable[[Conversation, Sequence[str]], Sequence[float | None]]
"""What a critic makes of responses to a question; None for one that says nothing."""
ORACLE = "any right"
"""How often at least one candidate is right: what no rule can exceed."""


@dataclass(frozen=True)
class CandidateAsking:
    """How candidates are asked for. n: of each question; greedy_first: the first takes the best tokens.

    sampling: of the others; None draws at temperature 0.7 and top_p 0.95. wording: puts a question into a
    prompt, whose `version` finds the answers; by default it is asked as it is. scores: a critic's.
    """

    n: int
    sampling: Sampling | None = None
    greedy_first: bool = True
    wording: Callable[[str], str] = str
    version: str | None = None
    scores: Scores | None = None
    max_tiles: int | None = None

    def several(self, sampling: Sampling, number: int) -> list[Sampling]:
        """Of the candidates to a question by its number; no two questions draw alike."""
        seed = derive_seed("heldout", sampling.seed, number)
        return sampling.model_copy(update={"seed": seed}).several(self.n, self.greedy_first)

    def talk(self, item: HeldoutItem, mode: Mode) -> Conversation:
        """What is asked."""
        talk = item.prompt(mode, self.wording)
        return talk if self.max_tiles is None else talk.limited(self.max_tiles)


@dataclass(frozen=True)
class OftenAsked:
    """A question with its candidates: what they say, as selection sees it, and how each is graded."""

    item: HeldoutItem
    candidates: tuple[Candidate, ...]
    graded: tuple[Answered, ...]
    tokens: tuple[int, ...]

    @property
    def right(self) -> tuple[bool, ...]:
        """Of each candidate."""
        return tuple(one.right for one in self.graded)


@dataclass(frozen=True)
class CurvePoint:
    """With k candidates: shares of questions that come out right, 0..1, by rule and for `ORACLE`.

    tokens: of all candidates to a question. seconds, critic_seconds: of a question; measured for all
    candidates, for fewer in proportion to tokens and to candidates.
    """

    k: int
    shares: Mapping[str, float]
    tokens: float
    seconds: float
    critic_seconds: float


@dataclass(frozen=True)
class CandidateResults:
    """All candidates to all questions of a model, with what they cost. fixed: 1 where the first is greedy."""

    mode: Mode
    n: int
    fixed: int
    questions: Sequence[OftenAsked]
    prompt_tokens: int
    seconds: float
    critic_seconds: float
    settings: Mapping[str, object] = field(default_factory=dict)

    def chosen(self, rule: SelectionRule) -> TaskResults:
        """What the rule's choices are worth."""
        answers = [one.graded[select(one.candidates, rule).chosen] for one in self.questions]
        new_tokens = sum(sum(one.tokens) for one in self.questions)
        settings = {**self.settings, **{f"selection.{name}": value for name, value in vars(rule).items()}}
        took = self.seconds + self.critic_seconds
        return TaskResults(self.mode, gather(answers), self.prompt_tokens, new_tokens, took, settings)

    def curve(self, rules: Mapping[str, SelectionRule]) -> tuple[CurvePoint, ...]:
        """Accuracy against the number of candidates, each task counting alike, and its cost."""
        return tuple(self._point(k, rules) for k in sizes(self.n))

    def _point(self, k: int, rules: Mapping[str, SelectionRule]) -> CurvePoint:
        shares = {name: self._mean(partial(self._right, rule=rule, k=k)) for name, rule in rules.items()}
        shares[ORACLE] = self._mean(lambda one: any_right(one.right, k, self.fixed))
        count = len(self.questions)
        tokens = sum(self._tokens(one, k) for one in self.questions) / count
        part = tokens / (sum(self._tokens(one, self.n) for one in self.questions) / count or 1.0)
        return CurvePoint(
            k, shares, tokens, self.seconds / count * part, self.critic_seconds / count * k / self.n
        )

    def _right(self, one: OftenAsked, rule: SelectionRule, k: int) -> float:
        return expected_right(one.candidates, one.right, rule, k, self.fixed)

    def _tokens(self, one: OftenAsked, k: int) -> float:
        """Expected of k candidates."""
        front, others = one.tokens[: self.fixed], one.tokens[self.fixed :]
        return sum(front) + (k - self.fixed) * sum(others) / max(1, len(others))

    def _mean(self, value: Callable[[OftenAsked], float]) -> float:
        """Over tasks, each counting alike, of the mean over its questions."""
        by_task: defaultdict[str, list[float]] = defaultdict(list)
        for one in self.questions:
            by_task[one.item.question.task].append(value(one))
        return sum(sum(found) / len(found) for found in by_task.values()) / len(by_task)


def evaluate_candidates(
    engine: Engine,
    encoder: Encoder,
    asking: CandidateAsking,
    tasks: Sequence[str] = (),
    count: int = 100,
    mode: Mode = "picture",
    *,
    level: int = 2,
    size: tuple[int, int] = (64, 64),
    batch: int = 64,
    skip: int = 0,
    progress: Progress = silent,
) -> CandidateResults:
    """Ask `count` held-out questions of each task for candidates; arguments as those of `evaluate`.

    skip: questions of each task in front of these, which settings were chosen on. Candidates share the prompt
    in the engine. Raises ValueError as `evaluate`, and as the critic.
    """
    sampling = asking.sampling or Sampling(
        temperature=0.7, top_p=0.95, max_new_tokens=most_tokens(choose_tasks(tasks))
    )
    items = [
        item for task in choose_tasks(tasks) for item in heldout_items(task, skip + count, level, size)[skip:]
    ]
    found: list[OftenAsked] = []
    spent = {"prompt_tokens": 0, "seconds": 0.0, "critic_seconds": 0.0}
    for start in range(0, len(items), batch):
        chunk = items[start : start + batch]
        talks = [asking.talk(item, mode) for item in chunk]
        prompts = [encoder.encode(talk, generate=True) for talk in talks]
        began = time.perf_counter()
        samplings = [each for place in range(len(chunk)) for each in asking.several(sampling, start + place)]
        done = engine.generate([prompt for prompt in prompts for _ in range(asking.n)], samplings)
        spent["seconds"] += time.perf_counter() - began
        began = time.perf_counter()
        for place, item in enumerate(chunk):
            said = [one.sound() for one in done[place * asking.n : (place + 1) * asking.n]]
            found.append(_often_asked(item, talks[place], said, asking))
        spent["critic_seconds"] += time.perf_counter() - began if asking.scores else 0.0
        spent["prompt_tokens"] += sum(len(prompt.ids) for prompt in prompts)
        progress("questions", len(found), len(items))
    settings = {"count": count, "skip": skip, "level": level, "size": list(size), **encoder.describe()}
    settings |= {"n": asking.n, "greedy_first": asking.greedy_first, "prompt": asking.version}
    settings |= {f"sampling.{name}": value for name, value in sampling.model_dump().items()}
    fixed = int(asking.greedy_first)
    return CandidateResults(mode, asking.n, fixed, found, **spent, settings=settings)  # type: ignore[arg-type]


def _often_asked(
    item: HeldoutItem, talk: Conversation, said: Sequence[Completion], asking: CandidateAsking
) -> OftenAsked:
    texts = [one.text for one in said]
    scores = asking.scores(talk, texts) if asking.scores else [None] * len(texts)
    read = [read_candidate(item, text, asking.version) for text in texts]
    candidates = []
    for one, (answer, _), score in zip(said, read, scores, strict=True):
        told = [token.logprob for token in one.logprobs]
        candidates.append(Candidate(answer, sum(told) / len(told) if told else None, score))
    graded, tokens = tuple(each for _, each in read), tuple(len(one.ids) for one in said)
    return OftenAsked(item, tuple(candidates), graded, tokens)


def read_candidate(item: HeldoutItem, text: str, version: str | None) -> tuple[str | None, Answered]:
    """The answer of a response, None without one, and its grade.

    A prompt's version finds the answer, and that alone is graded. Without a prompt the response is graded as
    a whole, and its answer is what it announces where it is to be announced, else what it ends in.
    """
    question = item.question
    announced = version is None and ANNOUNCED in question.answer
    if version is None and not announced:
        return final_answer(text) or None, grade_answer(item, Answer(text))
    found = read_answer(text, "en" if announced else version)
    answer = found.answer if isinstance(found, FinalAnswer) else None
    if announced:
        return answer, grade_answer(item, Answer(text))
    right = answer is not None and grade(question.final, answer, question.kind)
    return answer, Answered(item, Answer(text), right)


def curve_json(points: Sequence[CurvePoint]) -> list[dict[str, object]]:
    """Points as plain values, rounded."""
    return [
        asdict(point)
        | {"shares": {name: round(share, 4) for name, share in point.shares.items()}}
        | {name: round(getattr(point, name), 4) for name in ("tokens", "seconds", "critic_seconds")}
        for point in points
    ]
