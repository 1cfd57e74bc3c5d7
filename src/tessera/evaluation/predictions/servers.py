"""Answers in the files that evaluation servers take, for benchmarks whose right answers are not public."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tessera.scoring.grounding.cameras import restore_cameras

Written = Callable[[Sequence["ServerAnswer"]], str]


@dataclass(frozen=True)
class ServerAnswer:
    """What a file for a server may ask of a question; extracted: what the scorer took for the answer."""

    index: str
    prediction: str
    extracted: str | None = None
    question: str = ""
    answers: Sequence[str] = ()
    picture: str = ""
    """name of the first picture's file"""


def server_text(form: str, answers: Iterable[ServerAnswer]) -> str:
    """The file's text. ValueError for a form that is none of `SERVER_FORMS`."""
    if form not in SERVER_FORMS:
        raise ValueError(f"server form {form!r:.60} is unknown: give one of {', '.join(SERVER_FORMS)}")
    return SERVER_FORMS[form](list(answers))


def _listed(entry: Callable[[ServerAnswer], Mapping[str, Any]]) -> Written:
    return lambda answers: json.dumps([entry(each) for each in answers], ensure_ascii=False)


def _by_index(value: Callable[[ServerAnswer], Any], name: str = "{}") -> Written:
    return lambda answers: json.dumps(
        {name.format(each.index): value(each) for each in answers}, ensure_ascii=False, indent=4
    )


def _number(index: str) -> int | str:
    return int(index) if index.isdecimal() else index


def _letter(each: ServerAnswer) -> str:
    return each.prediction if each.extracted is None else each.extracted


def _lines(answers: Sequence[ServerAnswer]) -> str:
    return "".join(
        json.dumps({"task_id": each.index, "completion": each.prediction}, ensure_ascii=False) + "\n"
        for each in answers
    )


SERVER_FORMS: Mapping[str, Written] = MappingProxyType(
    {
        "vqav2": _listed(lambda one: {"question_id": _number(one.index), "answer": one.prediction}),
        "docvqa": _listed(lambda one: {"questionId": _number(one.index), "answer": one.prediction}),
        "vizwiz": _listed(lambda one: {"image": one.picture, "answer": one.prediction}),
        "mmvet": _by_index(lambda one: one.prediction, "v1_{}"),
        "mmmu": _by_index(_letter),
        "mathvista": _by_index(lambda one: {"pid": one.index, "response": one.prediction}),
        "drivelm": _listed(
            lambda one: {
                "id": _number(one.index),
                "question": one.question,
                "answer": restore_cameras(one.prediction),
                "gt_answers": one.answers[0] if one.answers else "",
            }
        ),
        "humaneval": _lines,
    }
)
"""By the name that a benchmark's `export` gives (InternVL `eval/*/evaluate_*.py`; docs/facts/evaluation.md).
A table with letters, as MMBench's server takes, is the form xlsx."""
LETTERS = "mmbench"
"""The form that is a table: VLMEvalKit's, with letters for predictions."""
