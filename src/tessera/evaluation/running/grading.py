"""Replies to a benchmark's questions: the answer of each, its verdict, and the line that is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol

from tessera.chat.batch.lines import BatchReply, name_of
from tessera.evaluation.rows.item import Item
from tessera.evaluation.running.asking import BenchmarkAsking
from tessera.scoring.reasoned.extraction import FinalAnswer
from tessera.scoring.selection.responses import (
    CandidateResponse,
    ChosenResponse,
    Rated,
    choose,
    rated,
    read_answer,
)
from tessera.scoring.selection.rule import SelectionRule
from tessera.scoring.thoughts import without_thought
from tessera.scoring.verdict import Graded, Reference, Scorer, Verdict

Rate = Callable[[Sequence[dict[str, Any]], Sequence[str]], Sequence[Rated]]
"""What a critic makes of responses to messages."""


class Replies(Protocol):
    """Replies by the names of their requests."""

    def __getitem__(self, name: str, /) -> BatchReply: ...


@dataclass(frozen=True)
class AnsweredRow:
    """One question with its verdict, and what `predictions.jsonl` keeps; `fault` where nobody answered."""

    graded: Graded
    line: dict[str, Any]
    fault: str = ""


@dataclass(frozen=True)
class BenchmarkGrading:
    """How replies become verdicts.

    reasoned: answers stand behind reasoning, found by the rules of `version`, or in a box. rule, rate: how
    one of several candidates is chosen. keep_thought: what stands in <think> counts as said.
    """

    scorer: Scorer
    asking: BenchmarkAsking
    reasoned: bool = False
    version: str | None = None
    rule: SelectionRule = field(default_factory=SelectionRule)
    rate: Rate | None = None
    keep_thought: bool = False
    describe: Callable[[Sequence[dict[str, Any]]], dict[str, Any]] | None = None
    """what else is known of a request's messages: tiles, tokens"""

    def row(self, item: Item, replies: Replies) -> AnsweredRow:
        """Of one question. Candidates that failed are left out; a question without any has a fault."""
        told = [replies[name_of(item.index, number)] for number in range(self.asking.candidates)]
        sound = [reply for reply in told if not reply.fault]
        if not sound:
            nothing = Graded(item.index, "", Verdict(0.0, None, "not answered"), item.reference)
            return AnsweredRow(nothing, self._line(item, nothing, "", []), told[0].fault)
        said, chosen = self._chosen(item, sound)
        prediction, verdict = self.judged(said, item.reference)
        graded = Graded(item.index, prediction, verdict, item.reference)
        line = self._line(item, graded, said, sound)
        if chosen is not None:
            line["selection"] = {
                "why": chosen.why,
                "chosen": chosen.index,
                "answers": [each.answer for each in chosen.candidates],
                "scores": [each.score for each in chosen.candidates],
            }
        return AnsweredRow(graded, line)

    def judged(self, said: str, reference: Reference) -> tuple[str, Verdict]:
        """What counts as the answer in what was said, and its verdict."""
        prediction = said if self.keep_thought else without_thought(said)
        return prediction, self.scorer(self._answer(prediction), reference)

    def rows(self, items: Sequence[Item], replies: Replies) -> Iterator[AnsweredRow]:
        """Of all, one after another."""
        return (self.row(item, replies) for item in items)

    def _answer(self, prediction: str) -> str:
        """What the scorer reads: the final answer of a reasoned response, where it has one."""
        if not self.reasoned:
            return prediction
        found = read_answer(prediction, self.version)
        return found.answer if isinstance(found, FinalAnswer) else prediction

    def _chosen(self, item: Item, replies: Sequence[BatchReply]) -> tuple[str, ChosenResponse | None]:
        """What was said, and how it was chosen where there were several."""
        if self.asking.candidates == 1:
            return replies[0].text, None
        responses = [CandidateResponse(each.text, each.tokens, each.finish, each.logprob) for each in replies]
        if self.rate is not None:
            responses = rated(responses, partial(self.rate, self.asking.messages(item)))
        chosen = choose(responses, self.version, self.rule, self.asking.prompt(item))
        return chosen.response, chosen

    def _line(self, item: Item, graded: Graded, said: str, replies: Sequence[BatchReply]) -> dict[str, Any]:
        reference, verdict = item.reference, graded.verdict
        line: dict[str, Any] = {
            "index": item.index,
            "question": reference.question,
            "prompt": self.asking.prompt(item),
            "options": dict(reference.options),
            "answers": list(reference.answers),
            "prediction": graded.prediction,
            "extracted": verdict.extracted,
            "score": verdict.score,
            "why": verdict.why,
            "parts": dict(verdict.parts),
            "media": [asdict(media) | {"path": str(media.path.resolve())} for media in item.media],
            "tokens": sum(reply.tokens for reply in replies),
            "finish": replies[0].finish if replies else None,
            "fields": {name: value for name, value in reference.fields.items() if _plain(value)},
        }
        if said != graded.prediction:
            line["reply"] = said
        return line | (self.describe(self.asking.messages(item)) if self.describe else {})


def _plain(value: Any) -> bool:
    """Whether JSON has a word for it."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
