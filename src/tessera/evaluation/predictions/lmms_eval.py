"""lmms-eval's files: `<time>_samples_<task>.jsonl`, a line a question, beside `<time>_results.json`.

Source: lmms_eval/loggers/evaluation_tracker.py, evaluator.py @ 75571cfe.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tessera.evaluation.rows.files import RowLines
from tessera.evaluation.rows.item import Item
from tessera.records.faults import DataError
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

PLACE, ANSWER, RESPONSES = "doc_id", "filtered_resps", "resps"
_UNSAFE = re.compile(r'["<>:/|\\?*\[\]]+')


@dataclass(frozen=True)
class AnswerSample:
    """One question's line. place: of the question in its data, from 0. responses: what was said, where an
    answer was filtered out of it. figures: name → value of this question, by metric."""

    place: int
    prediction: str
    target: str = ""
    prompt: str = ""
    responses: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)
    """columns of the question, of which a digest is written"""

    def line(self) -> dict[str, Any]:
        """As that harness writes it; what was said is left out where the answer is all of it."""
        said = {} if self.responses in ((), (self.prediction,)) else {RESPONSES: list(self.responses)}
        text = json.dumps(dict(self.row), indent=2, ensure_ascii=False, default=str)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        head = {PLACE: self.place, "target": self.target, **said, ANSWER: self.prediction}
        return {**head, "doc_hash": digest, **self.figures, "input": self.prompt}


def sample_files(folder: Path, model: str, task: str, moment: datetime) -> tuple[Path, Path]:
    """Where that harness would put samples and results: below the model's name, by the time of the run."""
    place = folder / _UNSAFE.sub("__", "/".join(model.split("/")[-2:]))
    begin = moment.strftime("%Y%m%d_%H%M%S")
    return place / f"{begin}_samples_{_UNSAFE.sub('__', task)}.jsonl", place / f"{begin}_results.json"


def write_samples(file: Path, samples: Iterable[AnswerSample]) -> None:
    """A line a question; the file appears whole or not at all."""
    with disk_faults(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            for sample in samples:
                text = json.dumps(sample.line(), ensure_ascii=False, default=str)
                stream.write(text.encode("utf-8", "replace") + b"\n")


def write_results(
    file: Path,
    task: str,
    figures: Mapping[str, float],
    questions: int,
    moment: datetime,
    model: str,
    settings: Mapping[str, Any],
) -> None:
    """The results of one task; `settings` stand under `config`, figures are not filtered (`,none`)."""
    values = {"alias": task, **{f"{name},none": value for name, value in figures.items()}}
    whole = {
        "results": {task: values},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task}},
        "versions": {task: "Yaml"},
        "n-shot": {task: 0},
        "higher_is_better": {task: dict.fromkeys(figures, True)},
        "n-samples": {task: {"original": questions, "effective": questions}},
        "config": dict(settings),
        "date": moment.strftime("%Y%m%d_%H%M%S"),
        "model_source": "tessera",
        "model_name": model,
        "model_name_sanitized": _UNSAFE.sub("__", "/".join(model.split("/")[-2:])),
    }
    with disk_faults(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            stream.write(
                json.dumps(whole, indent=2, ensure_ascii=False, default=str).encode("utf-8", "replace")
            )


def read_samples(file: Path) -> Iterator[AnswerSample]:
    """The lines of a samples file, older and newer ones: answers and responses may be lists of one.

    ValueError for a line without `doc_id` or `filtered_resps`, for several answers to a question (several
    filters, or repeats), and for a question that was not generated (likelihoods of options).
    """
    if not file.is_file():
        raise ValueError(f"no file {shown(file)}; correct the path")
    lines = RowLines(file)
    seen: set[int] = set()
    for number in range(len(lines)):
        place = f"{shown(file)}:{lines.line(number)}"
        try:
            sample = _sample(lines.record(number), place)
        except DataError as error:
            raise ValueError(str(error.faults[0])) from error
        if sample.place in seen:
            told = f"{place}: {PLACE} {sample.place} stands twice"
            raise ValueError(f"{told}; several filters were used: keep the lines of one")
        seen.add(sample.place)
        yield sample


def by_index(samples: Iterable[AnswerSample], items: Sequence[Item]) -> dict[str, str]:
    """Index → prediction, for questions in the order that harness had them. ValueError for places beyond."""
    found = {}
    for sample in samples:
        if sample.place >= len(items):
            told = f"{PLACE} {sample.place} of {len(items)} questions"
            raise ValueError(f"{told}; open the benchmark in the form, and with the filters, of that run")
        found[items[sample.place].index] = sample.prediction
    return found


def _sample(line: object, where: str) -> AnswerSample:
    if not isinstance(line, dict) or PLACE not in line or ANSWER not in line:
        has = ", ".join(map(str, line)) if isinstance(line, dict) else type(line).__name__
        raise ValueError(
            f"{where}: no {PLACE} and {ANSWER} (it has {shown(has, bare=True)}); is it a samples file?"
        )
    place = line[PLACE]
    if not isinstance(place, int) or isinstance(place, bool) or place < 0:
        raise ValueError(f"{where}: {PLACE} {shown(place)} is no place of a question")
    known = (PLACE, ANSWER, RESPONSES, "target", "input", "doc", "doc_hash", "arguments", "input_media")
    figures = {name: value for name, value in line.items() if name not in (*known, "token_counts")}
    prompt, row = line.get("input", ""), line.get("doc", {})
    return AnswerSample(
        place,
        _lone(line[ANSWER], where),
        str(line.get("target", "")),
        prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False),
        tuple(_texts(line.get(RESPONSES, []))),
        figures,
        row if isinstance(row, dict) else {},
    )


def _lone(value: Any, where: str) -> str:
    """The one answer in lists of one."""
    given = value
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str | int | float):
        return str(value)
    what = (
        "nothing"
        if value in (None, [])
        else f"{len(value)} answers"
        if isinstance(value, list)
        else "no text"
    )
    remedy = "likelihoods and repeats are not read: give a task that generates one answer"
    raise ValueError(f"{where}: {ANSWER} {shown(given)}: {what}; {remedy}")


def _texts(value: Any) -> Iterator[str]:
    """All texts in nested lists, in order."""
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif value is not None:
        yield str(value)
