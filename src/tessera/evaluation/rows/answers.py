"""What is right and what can be chosen: the columns of a row to a reference for scorers."""

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from tessera.evaluation.benchmarks.benchmark import DataForm
from tessera.evaluation.rows.row import Row, holds_bytes, is_missing, list_in, written
from tessera.scoring.verdict import Reference

INNER = ("answer", "answers", "caption", "text", "raw")
"""Keys under which an answer stands that is an object."""
_MARKED = re.compile(r"\s*\(?([A-Za-z])[).:]\s*(.*?)\s*", re.DOTALL)
_BRACKETED = re.compile(r"\(([A-Za-z])\)\s*(.*?)\s*(?=\([A-Za-z]\)|$)", re.DOTALL)


def reference(row: Row, form: DataForm) -> Reference:
    """Answers, options, question and all other columns of a row. ValueError naming the column at fault."""
    options = _options(row, form)
    column = next((name for name in form.answer if not is_missing(row.values.get(name))), form.answer[0])
    answers = _texts(row.values.get(column))
    if form.answer_is != "text":
        answers = tuple(_letter(row, column, answer, form.answer_is, options) for answer in answers)
    question = row.get(form.question)
    left_out = {*form.image, form.video}
    fields = {
        form.rename.get(k, k): _plain(v)
        for k, v in row.values.items()
        if k not in left_out and not holds_bytes(v)
    }
    return Reference(answers, options, "" if question is None else written(question), fields)


def _options(row: Row, form: DataForm) -> dict[str, str]:
    """Letter → text; a column without a value leaves its letter out."""
    if len(form.options) == 1 and (listed := _listed_options(row, form.options[0])) is not None:
        return listed
    if len(form.options) > len(ascii_uppercase):
        raise row.fault(form.options[0], f"{len(form.options)} options", "26 can be named, A to Z")
    named = zip(ascii_uppercase, form.options, strict=False)
    return {letter: written(v) for letter, name in named if not is_missing(v := row.values.get(name))}


def _listed_options(row: Row, column: str) -> dict[str, str] | None:
    """The options of one column: a list, an object of letters, lines, or `(a) … (b) …`; None for a lone text.

    Letters in front (`A. …`, `(A) …`, `A: …`) go where every option has its own.
    """
    value = row.values.get(column)
    if isinstance(value, Mapping):
        return {str(letter): written(text) for letter, text in value.items() if not is_missing(text)}
    if (listed := list_in(value)) is not None:
        if len(listed) > len(ascii_uppercase):
            raise row.fault(column, f"{len(listed)} options", "26 can be named, A to Z")
        texts = [*map(written, listed)]
        return _unmarked(texts) or dict(zip(ascii_uppercase, texts, strict=False))
    if isinstance(value, str) and (lines := _unmarked(value.splitlines())):
        return lines
    if isinstance(value, str) and len(found := _BRACKETED.findall(value)) > 1:
        return {letter.upper(): text for letter, text in found}
    return None


def _unmarked(texts: list[str]) -> dict[str, str]:
    """Several texts without the letters in front; nothing unless each begins with its own."""
    marked = [_MARKED.fullmatch(text) for text in texts]
    found = {mark[1].upper(): mark[2] for mark in marked if mark}
    return found if len(texts) > 1 and [*found] == [*ascii_uppercase[: len(texts)]] else {}


def _texts(value: Any) -> tuple[str, ...]:
    """The answers that a value holds: one, several, or none. A list of numbers (a box) is one answer."""
    if is_missing(value):
        return ()
    if isinstance(value, Mapping):
        inner = next((value[key] for key in INNER if key in value), None)
        return (written(value),) if inner is None else _texts(inner)
    listed = list_in(value)
    if listed is None or (listed and all(isinstance(v, int | float) for v in listed)):
        return (written(value),)
    return tuple(text for entry in listed for text in _entry(entry))


def _entry(value: Any) -> tuple[str, ...]:
    """An entry of a list of answers, which is no list of its own."""
    return _texts(value) if isinstance(value, Mapping) else () if value is None else (written(value),)


def _letter(row: Row, column: str, answer: str, kind: str, options: Mapping[str, str]) -> str:
    """The option's letter that an answer stands for."""
    letters, known = list(options), ", ".join(f"{k}: {v}" for k, v in options.items())
    text = answer.strip()
    if kind == "option":
        found = [letter for letter, option in options.items() if option.strip() == text]
    elif kind == "letter":
        found = [letter for letter in letters if letter == text.strip("().").upper()]
    else:
        place = int(float(text)) - (kind == "number") if re.fullmatch(r"\d{1,3}(\.0)?", text) else -1
        found = letters[place : place + 1] if place >= 0 else []
    if not found:
        raise row.fault(
            column, f"{answer!r:.80} is no {kind} of an option ({known:.120})", "correct it, or 'answer_is'"
        )
    return found[0]


def _plain(value: Any) -> Any:
    """A value as JSON knows it; dates and the like become texts."""
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if value is None or isinstance(value, str | bool | int | float):
        return None if is_missing(value) and value != "" else value
    return str(value)
