"""Responses with their verdicts: positive, negative by their answer, negative by their format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tessera.align.preferences.response import Fields, SampledResponse, read_response
from tessera.scoring.reasoned.extraction import BadFormat, extract_answer
from tessera.scoring.reasoned.judging import EQUAL, AnswerJudge

Kind = Literal["positive", "negative", "format"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FIELD = "verdict"
"""Key of a scored record."""


@dataclass(frozen=True)
class ResponseVerdict:
    """What a response is, its answer ("" for a format negative), the best score and its mode, and why."""

    kind: Kind
    answer: str
    score: float
    mode: str
    why: str


@dataclass(frozen=True)
class ScoredResponse:
    """A response and its verdict."""

    response: SampledResponse
    verdict: ResponseVerdict


def score_response(response: SampledResponse, judge: AnswerJudge) -> ResponseVerdict:
    """Find the answer of a response and judge it; a response without one is a format negative."""
    found = extract_answer(response.text, response.version)
    if isinstance(found, BadFormat):
        return ResponseVerdict("format", "", 0.0, "", found.why)
    judged = judge.judge(found.answer, response.target)
    if judged.right:
        why = "equal to the answer" if judged.mode == EQUAL else f"right by {judged.mode}"
        return ResponseVerdict("positive", found.answer, judged.score, judged.mode, why)
    why = f"no mode is above {judge.threshold:g}, the best is {judged.mode} with {judged.score:.3g}"
    return ResponseVerdict("negative", found.answer, judged.score, judged.mode, why)


def scored_record(response: SampledResponse, verdict: ResponseVerdict, judge: AnswerJudge) -> dict[str, Any]:
    """The record with its verdict, and what the verdict depends on."""
    settings = {"modes": judge.modes, "threshold": judge.threshold, "as_published": judge.as_published}
    version = {"prompt_version": response.version}  # written where the command line gave it
    return {**response.record, **version, FIELD: {**vars(verdict), **settings}}


def read_scored(value: object, file: Path, line: int) -> ScoredResponse:
    """A response with the verdict that `scored_record` wrote. DataError as `read_response`."""
    response = read_response(value, file, line)
    fields = Fields(file, line, response.record)
    verdict = response.record.get(FIELD)
    if not isinstance(verdict, Mapping):
        fields.wrong(FIELD, "is missing", "score the file first: tessera prefer score")
    inner = Fields(file, line, verdict)
    if verdict.get("kind") not in KINDS:
        inner.wrong(f"{FIELD}.kind", f"is {verdict.get('kind')!r}"[:80], f"give one of {', '.join(KINDS)}")
    told = [
        inner.text(name, f"a text is needed in {FIELD}", empty=True) for name in ("answer", "mode", "why")
    ]
    score = verdict.get("score")
    if not isinstance(score, int | float):
        inner.wrong(f"{FIELD}.score", "is no number", "score the file again: tessera prefer score")
    answer, mode, why = told
    return ScoredResponse(response, ResponseVerdict(verdict["kind"], answer, float(score), mode, why))
