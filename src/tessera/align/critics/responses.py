"""A file of responses to the same lines with the scores of a process reward model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tessera.align.critics.items import RatedItem, Read, read_items
from tessera.align.critics.journal import RatingJournal
from tessera.align.critics.process import ProcessCritic
from tessera.align.critics.rating import Rating, rate_items
from tessera.align.preferences.lines import MOST_TOLD, open_lines
from tessera.align.preferences.response import Fields
from tessera.align.preferences.scoring_run import refused_beside
from tessera.records.writing import json_line
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown

FIELD = "prm"
"""Key of a rated record: score, steps (each with its text), and the settings that they depend on."""


@dataclass
class RatingReport:
    """What became of the lines. mean: score of those that were rated, None for none."""

    lines: int
    rated: int = 0
    steps: int = 0
    single: int = 0
    """Responses of one step."""
    total: float = 0.0
    refused: int = 0
    first: list[str] = field(default_factory=list)
    """Some of the refused lines, and why."""

    @property
    def mean(self) -> float | None:
        """Of the scores."""
        return self.total / self.rated if self.rated else None

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        values = asdict(self)
        del values["total"]
        return values | {"mean": self.mean}


def read_response_steps(critic: ProcessCritic) -> Read:
    """Reads `image`, `question` and `response` of a line; the answer need not be known."""

    def read(fields: Fields) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
        question = fields.text("question", "write the prompt that the model was given")
        response = fields.text("response", "write what the model said, or remove the line")
        return fields.pictures(), question, critic.steps(response)

    return read


def score_responses(
    source: Path,
    output: Path,
    critic: ProcessCritic,
    media: Path,
    about: dict[str, Any],
    max_tiles: int | None = None,
    progress: Progress = silent,
) -> RatingReport:
    """Rate every response; rated lines go to `output`, others to the file beside it with their reasons.

    about: what scores depend on beside the file; it is written with each. Ratings stand in a file beside the
    output until all are there, so an interrupted run goes on. ValueError for a file without lines.
    """
    if output.resolve() == source.resolve():
        raise ValueError(f"--output {shown(output)}: holds the responses; name another file")
    lines = open_lines(source)
    report, beside = RatingReport(len(lines)), refused_beside(output)
    kept = output.with_name(f"{output.name}.ratings")
    with disk_faults(output), RatingJournal(kept, about | stamp(source)) as journal:
        items = read_items(source, read_response_steps(critic))
        with atomic_write(beside) as rest, atomic_write(output) as rated:
            for item, rating in rate_items(items, critic, journal, media, max_tiles, len(lines), progress):
                if "why" in rating:
                    _refuse(report, source, item, rating["why"])
                    rest.write(json_line({"line": item.line, "why": rating["why"]}))
                    continue
                _count(report, rating)
                record = lines.record(item.number)
                assert isinstance(record, dict), "it was read before"
                rated.write(json_line(record | {FIELD: rating_of(item, rating) | about}))
        if not report.refused:
            beside.unlink()
    kept.unlink()
    return report


def rating_of(item: RatedItem, rating: Rating) -> dict[str, Any]:
    """A rating with the text of each step; steps that were not rated are left out."""
    scores = zip(item.steps, rating["steps"], strict=False)
    return {"score": rating["score"], "steps": [{"step": step, "score": score} for step, score in scores]}


def stamp(file: Path) -> dict[str, Any]:
    """What changes when a file does."""
    found = file.stat()
    return {"file": str(file.resolve()), "size": found.st_size, "changed": found.st_mtime_ns}


def _count(report: RatingReport, rating: Rating) -> None:
    report.rated += 1
    report.steps += len(rating["steps"])
    report.single += len(rating["steps"]) == 1
    report.total += rating["score"]


def _refuse(report: RatingReport, source: Path, item: RatedItem, why: str) -> None:
    report.refused += 1
    if len(report.first) < MOST_TOLD:
        report.first.append(why if why.startswith(str(source)) else f"{shown(source)}:{item.line}: {why}")
