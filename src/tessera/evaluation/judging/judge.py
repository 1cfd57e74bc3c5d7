"""Questions for a judge, and verdicts from its replies, by rules that stand in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import jinja2
from pydantic import Field

from tessera.evaluation.benchmarks.benchmark import Declared
from tessera.evaluation.benchmarks.catalogue import load_declared
from tessera.evaluation.benchmarks.prompts import USUAL, compiled
from tessera.runtime.shown import shown
from tessera.scoring.choices.inferred import Inference
from tessera.scoring.judged.replies import MARKS, pair
from tessera.scoring.verdict import Graded, Scorer, Verdict
from tessera.scoring.yes_no.said import OTHER, one_of_both

_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "judges"
_ENDINGS = (".yaml", ".yml", ".json")
_BEST_OF_PAIR = 10
_NO_REPLIES: Mapping[str, str] = MappingProxyType({})
_LETTER = Inference()
Reads = Literal[
    "answer",
    "letter",
    "yes_no",
    "pair",
    "share",
    "first_share",
    "rating",
    "preference",
    "points",
    "same",
    "graded",
]
"""How a reply is read: an answer, a letter, or yes or no, for the benchmark's scorer to judge; two marks; or
one by its name in `scoring/judged/replies.py`."""


class JudgeRules(Declared):
    """A file of `assets/judges`, or your own."""

    name: str
    about: str
    """what is asked, and how its wording stands to the published one"""
    source: str
    """where the task and the form of the reply come from"""
    published: str = ""
    """the judge of published scores"""
    prompt: str
    """Jinja: question, options (letter → text), answer, answers, prediction, every column"""
    system: str = ""
    reads: Reads
    asks: Literal["unsure", "all"] = "all"
    """unsure: only about answers that the scorer's rule left open"""
    calls: int = Field(default=3, ge=1)
    """how often an answer is asked about until a reply can be read"""
    temperature: float = Field(default=0.0, ge=0)
    warmer: float = Field(default=0.0, ge=0)
    """added to the temperature with every further call"""
    new_tokens: int = Field(default=256, ge=1)
    pictures: bool = False
    """the judge sees the question's pictures"""
    failed: float | None = None
    """score where no reply can be read; without one the scorer's verdict stands"""


@dataclass(frozen=True)
class JudgeQuestion:
    """One request: text for the user's turn, and the settings that the rules ask for."""

    index: str
    text: str
    system: str
    temperature: float
    new_tokens: int
    pictures: bool


def judge_rules(name: str | Path) -> JudgeRules:
    """The rules of this name, or of your own file. ValueError with what there is, or with the fault."""
    path = Path(name)
    if path.suffix.lower() in _ENDINGS:
        return load_declared(JudgeRules, path, "judge file")
    known = judge_names()
    if str(name) not in known:
        raise ValueError(f"judge {shown(str(name))} is unknown: give one of {', '.join(known)}, or a file")
    return load_declared(JudgeRules, _FOLDER / f"{name}.yaml", "judge file")


def judge_names() -> list[str]:
    """Names of the rules that ship."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml"))


def questions(
    rules: JudgeRules, graded: Sequence[Graded], replies: Mapping[str, str] = _NO_REPLIES, call: int = 0
) -> list[JudgeQuestion]:
    """What is still to be asked: answers without a reply that can be read; none once all calls are made.

    call: how many rounds went before. ValueError for a prompt that names a column which the data lack.
    """
    if call >= rules.calls:
        return []
    temperature = rules.temperature + call * rules.warmer
    return [
        JudgeQuestion(
            each.index, _asked(rules, each), rules.system, temperature, rules.new_tokens, rules.pictures
        )
        for each in graded
        if asks_about(rules, each) and not _readable(rules, each, replies)
    ]


def asks_about(rules: JudgeRules, each: Graded) -> bool:
    """Whether an answer goes to the judge."""
    return rules.asks == "all" or each.verdict.extracted is None or bool(each.verdict.parts.get("unsure"))


def verdicts(
    rules: JudgeRules,
    graded: Sequence[Graded],
    replies: Mapping[str, str],
    scorer: Scorer | None = None,
    judge: str = "",
) -> list[Graded]:
    """Answers with what the judge made of them; those it wasn't asked about as they are.

    scorer: the benchmark's, where replies are answers, letters, or yes and no. judge: its name, for `why`.
    """
    if scorer is None and rules.reads in _RESCORED:
        raise ValueError(f"judge {rules.name}: its replies are answers; give the benchmark's scorer")
    told = f"judge {judge}" if judge else "judge"
    return [
        _judged(rules, each, replies, scorer, told) if asks_about(rules, each) else each for each in graded
    ]


def _asked(rules: JudgeRules, each: Graded) -> str:
    reference = each.reference
    row = {
        "question": reference.question,
        "options": dict(reference.options),
        "answers": list(reference.answers),
        "answer": reference.answers[0] if reference.answers else "",
        "prediction": each.prediction,
    }
    try:
        return compiled(rules.prompt).render(USUAL | dict(reference.fields) | row)
    except jinja2.TemplateError as error:
        raise ValueError(
            f"judge {rules.name}, question {each.index}: {error}; the prompt needs it, or a default for it"
        ) from error


def _readable(rules: JudgeRules, each: Graded, replies: Mapping[str, str]) -> bool:
    reply = replies.get(each.index)
    return reply is not None and _read(rules.reads, each, reply) is not None


def _read(reads: str, each: Graded, reply: str) -> Any:
    """An answer as text, two marks or one; None where the reply says none of it."""
    if reads == "letter":
        return _LETTER(reply, each.reference.options).letter
    if reads in _RESCORED:
        return _RESCORED[reads](reply)
    return pair(reply) if reads == "pair" else MARKS[reads](reply)


def _judged(
    rules: JudgeRules, each: Graded, replies: Mapping[str, str], scorer: Scorer | None, told: str
) -> Graded:
    return replace(each, verdict=_verdict(rules, each, replies, scorer, told))


def _verdict(
    rules: JudgeRules, each: Graded, replies: Mapping[str, str], scorer: Scorer | None, told: str
) -> Verdict:
    reply = replies.get(each.index)
    found = None if reply is None else _read(rules.reads, each, reply)
    if reply is None or found is None:
        missing = f"{told} was not asked" if reply is None else f"{told}: not to be read: {shown(reply)}"
        score = each.verdict.score if rules.failed is None else rules.failed
        return replace(each.verdict, score=score, why=f"{each.verdict.why}; {missing}")
    why = f"{told}: {shown(reply)}"
    if rules.reads in _RESCORED and scorer is not None:
        judged = scorer(found, each.reference)
        return replace(judged, why=f"{why}; {judged.why}", parts={**judged.parts, "judged": True})
    if rules.reads == "pair":
        return Verdict(found[1] / _BEST_OF_PAIR, str(found), why, {"judged": True, "pair": list(found)})
    score = float(found > 0) if rules.reads == "preference" else found
    return Verdict(score, str(found), why, {"judged": True, "mark": found})


def _answer(reply: str) -> str | None:
    return reply.strip() or None


def _yes_no(reply: str) -> str | None:
    said = one_of_both(reply)
    return None if said == OTHER else said


_RESCORED: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {"answer": _answer, "letter": _answer, "yes_no": _yes_no}
)
"""Replies that the benchmark's scorer judges."""
