"""Questions and answers: VQAv2's pair of files, or rows with image, question, answer and perhaps choices."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tessera.annotations.formats.folders import LETTERS, lettered
from tessera.annotations.formats.rows import IMAGE, FileRow, entries, read_json, read_rows
from tessera.annotations.job import Draft, Job, QAPair, WordingSampler, clean, in_records
from tessera.annotations.rejects import Fault, Rejected
from tessera.annotations.settings import VqaSettings
from tessera.runtime.shown import shown

QUESTION = ("question", "query")
ANSWER = ("answer", "answers", "label", "multiple_choice_answer")
CHOICES = ("choices", "options")
COLUMNS = (IMAGE, QUESTION, ANSWER)
SHORT_WORDS, SHORT_CHARACTERS = 3, 8
"""Longest answers asked for as a word or phrase: in words, or in characters where words have no spaces."""


def drafts(job: Job[VqaSettings]) -> Iterator[Draft]:
    """Neighbouring questions about the same picture share records of at most `turns` turns."""
    settings = job.settings
    rows = _vqa_v2(job, settings.answers) if settings.answers else read_rows(job, COLUMNS)
    for number, (name, group) in enumerate(groupby(rows, key=lambda row: str(row.get(*IMAGE)))):
        sampler, turns = job.sampler(name, number), []
        for row in (questions := list(group)):
            with job.log.catching(row.place):
                picture = job.pictures.find(row.get(*IMAGE))
                turns.append(_turn(row, settings, sampler))
        if turns:
            yield from in_records(questions[0].place, picture, turns, settings.turns)


def _turn(row: FileRow, settings: VqaSettings, sampler: WordingSampler) -> QAPair:
    question = clean(row.get(*QUESTION), "question")
    if (choices := row.get(*CHOICES)) is not None:
        return _choice_turn(question, _listed(choices), row, sampler)
    answer = _majority(row.get(*ANSWER))
    short = settings.style == "short" or (settings.style == "auto" and is_short(answer))
    form = "short" if short else "plain"
    return QAPair(form, sampler.say(f"{form}.question", question=question), answer)


def _choice_turn(question: str, choices: list[Any], row: FileRow, sampler: WordingSampler) -> QAPair:
    """Lettered options; the answer is one of them, its letter, or its number from 0."""
    options = [clean(choice, "choice") for choice in choices]
    if not 2 <= len(options) <= len(LETTERS):
        raise Rejected(Fault.BAD_ROW, f"{len(options)} choices; give 2 to {len(LETTERS)}")
    answer = row.get("answer", "answers", "label")
    if (place := _place_of(answer, options)) is None:
        raise Rejected(Fault.NO_ANSWER, f"{answer!r} is none of {options}")
    asked = sampler.say("choice.question", question=question, options=lettered(options))
    return QAPair("choice", asked, LETTERS[place])


def _place_of(answer: Any, options: list[str]) -> int | None:
    said = str(answer).strip()
    if said in options:
        return options.index(said)
    if len(said) == 1 and said.upper() in LETTERS[: len(options)]:
        return LETTERS.index(said.upper())
    if said.isascii() and said.isdigit() and int(said) < len(options):
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
        raise Rejected(Fault.NO_ANSWER, f"{answers!r}")
    return Counter(clean(text, "answer") for text in texts).most_common(1)[0][0]


def _listed(value: Any) -> list[Any]:
    """A list, or a text that is one in JSON (as tables hold it), or its parts between bars."""
    if isinstance(value, list):
        return value
    text = str(value)
    if not text.startswith("["):
        return [part.strip() for part in text.split("|")]
    try:
        return list(json.loads(text))
    except json.JSONDecodeError as error:
        raise Rejected(Fault.BAD_ROW, f"choices {shown(text)}: {error.msg}") from error


def _vqa_v2(job: Job[VqaSettings], answers_file: Path) -> Iterator[FileRow]:
    """Questions joined with their answers by question_id, picture by picture."""
    file = job.settings.annotations
    content, answers = read_json(file), read_json(answers_file)
    name = job.settings.image_name or _image_name(content, answers)
    answer_of = {e.get("question_id"): e for e in entries(answers, "annotations", answers_file)}
    questions = entries(content, "questions", file)
    # Stable: questions of a picture keep their order, and pictures that of their first question.
    first: dict[object, int] = {}
    questions.sort(key=lambda e: first.setdefault(e.get("image_id"), len(first)))
    for entry in job.each(questions, len(questions)):
        place = f"{file}: question {entry.get('question_id')!r}"
        with job.log.catching(place):
            answer = answer_of.get(entry.get("question_id"))
            if answer is None:
                raise Rejected(Fault.NO_ANSWER, f"none in {answers_file}")
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
            f"image_name: {name!r} doesn't take image_id {image_id!r} ({error}); "
            "write it as in 'COCO_val2014_{image_id:012d}.jpg'"
        ) from error
