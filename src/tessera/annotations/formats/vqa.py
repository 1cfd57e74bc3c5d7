"""Questions and answers: VQAv2's pair of files, or rows with image, question, answer and perhaps choices."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tessera.annotations.formats.folders import LETTERS, lettered
from tessera.annotations.formats.row_pictures import RowPictures
from tessera.annotations.formats.rows import (
    IMAGE,
    FileRow,
    by_id,
    entries,
    other_type,
    parsed,
    read_json,
    read_rows,
)
from tessera.annotations.job import Draft, Job, QAPair, WordingSampler, clean, in_records
from tessera.annotations.rejects import Fault, Rejected
from tessera.annotations.settings import VqaSettings
from tessera.runtime.shown import shown

QUESTION = ("question", "query")
ANSWER = ("answer", "answers", "label", "multiple_choice_answer")
CHOICES = ("choices", "options")
HINT = ("hint", "context")
COLUMNS = (IMAGE, QUESTION, ANSWER)
SHORT_WORDS, SHORT_CHARACTERS = 3, 8
"""Longest answers asked for as a word or phrase: in words, or in characters where words have no spaces."""


def drafts(job: Job[VqaSettings]) -> Iterator[Draft]:
    """Neighbouring questions about the same picture share records of at most `turns` turns."""
    settings, shelf = job.settings, RowPictures(job.pictures)
    rows = _vqa_v2(job, settings.answers) if settings.answers else read_rows(job, COLUMNS)
    for number, (name, group) in enumerate(groupby(rows, key=lambda row: str(row.get(*IMAGE)))):
        sampler, turns = job.sampler(name, number), []
        for row in (questions := list(group)):
            with job.log.catching(row.place):
                pictures = shelf.of(row)
                turns.append(_turn(row, settings, sampler))
        if turns:
            yield from in_records(questions[0].place, pictures, turns, settings.turns)


def _turn(row: FileRow, settings: VqaSettings, sampler: WordingSampler) -> QAPair:
    question = clean(row.get(*QUESTION), "question")
    if options := lettered_columns(row):
        if (hint := row.get(*HINT)) is not None:
            question = f"{clean(hint, 'hint')}\n{question}"
        return _choice_turn(question, list(options.values()), row, sampler, list(options))
    if (choices := row.get(*CHOICES)) is not None:
        return _choice_turn(question, _listed(choices), row, sampler)
    answer = _majority(row.get(*ANSWER))
    short = settings.style == "short" or (settings.style == "auto" and is_short(answer))
    form = "short" if short else "plain"
    return QAPair(form, sampler.say(f"{form}.question", question=question), answer)


def _choice_turn(
    question: str, choices: list[Any], row: FileRow, sampler: WordingSampler, letters: Sequence[str] = ()
) -> QAPair:
    """Lettered options; the answer is one of them, its letter, or its number from 0.

    letters: those of the row's own columns, which come first when the answer is read.
    """
    options = [clean(choice, "choice") for choice in choices]
    if not 2 <= len(options) <= len(LETTERS):
        raise Rejected(Fault.BAD_ROW, f"{len(options)} choices; give 2 to {len(LETTERS)}")
    answer = row.get("answer", "answers", "label")
    said = str(answer).strip() if isinstance(answer, str | int) else ""
    place = letters.index(said.upper()) if said.upper() in letters else _place_of(said, options)
    if place is None:
        raise Rejected(Fault.NO_ANSWER, f"{shown(answer)} is none of {shown(options)}")
    asked = sampler.say("choice.question", question=question, options=lettered(options))
    return QAPair("choice", asked, LETTERS[place])


def lettered_columns(row: FileRow) -> dict[str, Any]:
    """The options of a row that has a column for each, `A`, `B` and so on; empty ones are left out."""
    found = {letter: row.get(letter) for letter in LETTERS if row.get(letter) is not None}
    return found if "A" in row.fields and "B" in row.fields else {}


def _place_of(said: str, options: list[str]) -> int | None:
    if said in options:
        return options.index(said)
    if len(said) == 1 and said.upper() in LETTERS[: len(options)]:
        return LETTERS.index(said.upper())
    if said.isascii() and said.isdigit() and len(said) < 3 and int(said) < len(options):
        return int(said)
    return None


def is_short(answer: str) -> bool:
    """Whether an answer is a word or phrase."""
    return len(answer.split()) <= SHORT_WORDS if answer.isascii() else len(answer) <= SHORT_CHARACTERS


def _majority(answers: Any) -> str:
    """The answer, or the most frequent of several (the first of equals)."""
    found = answers if isinstance(answers, list) else [answers]
    texts = [entry.get("answer") if isinstance(entry, dict) else entry for entry in found]
    if not texts or texts[0] is None:
        raise Rejected(Fault.NO_ANSWER, shown(answers))
    return Counter(clean(text, "answer") for text in texts).most_common(1)[0][0]


def _listed(value: Any) -> list[Any]:
    """A list, or a text that is one in JSON (as tables hold it), or its parts between bars."""
    if isinstance(value, list):
        return value
    text = str(value) if isinstance(value, str | int) else ""
    if not text.startswith("["):
        return [part.strip() for part in text.split("|")]
    try:
        return list(parsed(text.encode("utf-8", "replace")))
    except ValueError as error:
        raise Rejected(Fault.BAD_ROW, f"choices {shown(text)}: {error}") from error


def _vqa_v2(job: Job[VqaSettings], answers_file: Path) -> Iterator[FileRow]:
    """Questions joined with their answers by question_id, picture by picture."""
    file = job.settings.annotations
    content, answers = read_json(file), read_json(answers_file)
    name = job.settings.image_name or _image_name(content, answers)
    key = "question_id"
    answer_of = by_id(entries(answers, "annotations", answers_file), key, "annotations", answers_file)
    questions = list(by_id(entries(content, "questions", file), key, "questions", file).values())
    # Stable: questions of a picture keep their order, and pictures that of their first question.
    first: dict[str, int] = {}
    questions.sort(key=lambda e: first.setdefault(repr(e.get("image_id")), len(first)))
    for entry in job.each(questions, len(questions)):
        place = f"{file}: question {entry[key]!r}"
        with job.log.catching(place):
            answer = answer_of.get(entry[key])
            if answer is None:
                detail = f"none in {shown(answers_file)}{other_type(entry[key], answer_of)}"
                raise Rejected(Fault.NO_ANSWER, detail)
            found = answer.get("multiple_choice_answer") or answer.get("answers")
            image = _named(name, entry.get("image_id"))
            yield FileRow(place, {"image": image, "question": entry.get("question"), "answer": found})


def _image_name(content: dict[str, Any], answers: dict[str, Any]) -> str:
    """COCO's file names, by the part that the files say they are about."""
    part = content.get("data_subtype") or answers.get("data_subtype")
    if not isinstance(part, str):
        raise ValueError(
            "image_name: the files don't say which; give e.g. 'COCO_val2014_{image_id:012d}.jpg'"
        )
    return f"COCO_{part}_{{image_id:012d}}.jpg"


def _named(name: str, image_id: Any) -> str:
    try:
        return name.format(image_id=image_id)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"image_name: {shown(name)} doesn't take image_id {shown(image_id)} ({error}); "
            "write it as in 'COCO_val2014_{image_id:012d}.jpg'"
        ) from error
