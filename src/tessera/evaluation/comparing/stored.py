"""What a run leaves in its folder: `predictions.jsonl`, one answer a line, and `result.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tessera.evaluation.comparing.resampling import Unit, unit_of
from tessera.evaluation.robustness.option_order import MARK
from tessera.runtime.config import first_fault
from tessera.runtime.json_file import MAX_BYTES, read_object
from tessera.runtime.shown import shown
from tessera.scoring.verdict import Graded, Reference, Verdict

ANSWERS, RESULT = "predictions.jsonl", "result.json"
CLIPS = (".mp4", ".mkv", ".avi", ".webm", ".mov", ".gif", "")
"""Endings of clips; a path without one is a folder of frames."""
REMEDY = "run the evaluation to its end, or name another folder"


class _Stored(BaseModel):
    """Frozen; what else stands there is kept."""

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)


class StoredMedia(_Stored):
    """A picture, a clip or a folder of frames that a question is about; stored as its path, or with all."""

    path: Path
    kind: str = "image"
    start: float | None = None
    end: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return {"path": given, "kind": "image" if Path(given).suffix.lower() not in CLIPS else "video"}


class StoredAnswer(_Stored):
    """A line of `predictions.jsonl`: a question, how it was asked, the answer and its verdict.

    prompt: as the model was given it. tiles: columns and rows for each picture. tokens: of prompt and answer.
    finish: why the answer ended, "length" where it was cut off.
    """

    index: str
    question: str = ""
    prompt: Any = ""
    options: dict[str, str] = Field(default_factory=dict)
    answers: tuple[str, ...] = ()
    prediction: str
    extracted: str | None = None
    score: float
    why: str = ""
    parts: dict[str, Any] = Field(default_factory=dict)
    tiles: Any = None
    tokens: Any = None
    fields: dict[str, Any] = Field(default_factory=dict)
    media: tuple[StoredMedia, ...] = ()
    finish: str | None = None

    @cached_property
    def graded(self) -> Graded:
        """What aggregates read."""
        verdict = Verdict(self.score, self.extracted, self.why, self.parts)
        reference = Reference(self.answers, self.options, self.question, self.fields)
        return Graded(self.index, self.prediction, verdict, reference)


class StoredResult(_Stored):
    """`result.json`: what was run, and the figures with their bounds."""

    benchmark: str
    preset: str = ""
    model: str = ""
    figures: dict[str, float | None] = Field(default_factory=dict)
    intervals: dict[str, Any] = Field(default_factory=dict)
    estimates: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    title: str = ""
    metric: str = ""
    published: dict[str, dict[str, float]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    robustness: dict[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run in a line."""
        return ", ".join(filter(None, (self.model, self.preset)))


@dataclass(frozen=True)
class StoredRun:
    """A run's folder as read."""

    folder: Path
    result: StoredResult
    answers: Sequence[StoredAnswer]

    @property
    def scored(self) -> list[StoredAnswer]:
        """Answers that count for the score: not those to questions asked again with rotated options."""
        return [answer for answer in self.answers if MARK not in answer.index]

    @property
    def graded(self) -> list[Graded]:
        """Answers that count, in the order of the file."""
        return [answer.graded for answer in self.scored]

    @property
    def unit(self) -> Unit:
        """What belongs together: equal values of the benchmark's column, or else the same pictures."""
        files = {answer.index: [str(media.path) for media in answer.media] for answer in self.answers}
        return unit_of(self.result.settings.get("unit"), files)

    @classmethod
    def read(cls, folder: Path) -> StoredRun:
        """Both files. ValueError naming file, line and field of what is wrong or not there."""
        result, answers = read_result(folder), list(read_answers(folder / ANSWERS))
        if not answers:
            raise ValueError(f"{shown(folder / ANSWERS)} holds no answers: {REMEDY}")
        return cls(folder, result, answers)


def read_result(folder: Path) -> StoredResult:
    """`result.json` of a folder."""
    file = folder / RESULT
    if not file.is_file():
        raise ValueError(f"{shown(folder)} has no {RESULT}: {REMEDY}")
    try:
        return StoredResult.model_validate(read_object(file, 16 * MAX_BYTES))
    except ValidationError as error:
        raise ValueError(f"{shown(file)}: {first_fault(error)}; {REMEDY}") from error


def read_answers(file: Path) -> Iterator[StoredAnswer]:
    """Answers in the order of the file, each index once."""
    lines: dict[str, int] = {}
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                answer = _answer(line, f"{shown(file)}, line {number}")
                if answer.index in lines:
                    raise ValueError(
                        f"{shown(file)}, line {number}: index {shown(answer.index)} stands in line "
                        f"{lines[answer.index]} already; keep one of them"
                    )
                lines[answer.index] = number
                yield answer
    except FileNotFoundError as error:
        raise ValueError(f"{shown(file.parent)} has no {file.name}: {REMEDY}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown(file)} is no UTF-8 text ({shown(error)}): {REMEDY}") from error


def _answer(line: str, where: str) -> StoredAnswer:
    try:
        return StoredAnswer.model_validate_json(line)
    except ValidationError as error:
        raise ValueError(f"{where}: {first_fault(error)}; {REMEDY}") from error


def find_runs(folder: Path) -> dict[str, Path]:
    """Benchmark → folder of its run: the folder itself, or those right below it. ValueError without any."""
    if (folder / RESULT).is_file():
        return {read_result(folder).benchmark: folder}
    below = sorted(file.parent for file in folder.glob(f"*/{RESULT}"))
    found = {read_result(each).benchmark: each for each in below}
    if len(found) < len(below):
        raise ValueError(
            f"{shown(folder)}: {len(below)} runs of {len(found)} benchmarks; name one run's folder"
        )
    if not found:
        raise ValueError(f"{shown(folder)} has no {RESULT}, nor has a folder in it: {REMEDY}")
    return found


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Settings in settings as `outer.inner`.

    >>> flat({"scorer": {"name": "anls"}, "tiles": 12})
    {'scorer.name': 'anls', 'tiles': 12}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inner = f"{above}{name}"
        found |= flat(value, f"{inner}.") if isinstance(value, Mapping) and value else {inner: value}
    return found
