"""Solutions and the answers to their continuations, to a folder of data for a process reward model."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from tessera.align.preferences.lines import MOST_TOLD
from tessera.align.preferences.response import SampledResponse
from tessera.align.process.continuing import MarkedStep, Unmarked
from tessera.align.process.records import (
    label_of,
    marked_record,
    outcome_talk,
    require_readable,
    step_talk,
)
from tessera.align.process.solutions import RefusedSolution, Solution, Solutions
from tessera.align.process.step_page import step_page
from tessera.align.process.talk import SYSTEM, WRONG
from tessera.pages.page import write_page
from tessera.records.faults import DataError
from tessera.records.writing import json_line, write_meta
from tessera.runtime.atomic import atomic_write
from tessera.runtime.config import Config
from tessera.runtime.disk import disk_faults
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed

UNMARKED, UNREADABLE = "a step without a score", "a record that training can't read"


class StepLabels(Config):
    """What becomes of scores (docs/facts/process_reward.md)."""

    threshold: float = Field(default=0.0, ge=0, lt=1)
    """a step is + where its score is above"""
    orm: bool = False
    """also write each solution as one turn, with the label of its last step"""
    train_turn_ends: bool = False
    """train the token that ends a turn with + and -, as plain fine-tuning does"""
    system: str | None = None
    """what the judge is told first, then and when it rates; None takes the published prompt"""
    page: int = Field(default=20, ge=0)
    """solutions on the page, drawn at random"""


@dataclass
class ProcessReport:
    """What became of the solutions. single: of one step; wrong_steps: labelled -.

    prompt_tokens, cached_tokens and cut: of the continuations, where some were asked (`BatchReplies`).
    """

    lines: int
    kept: int = 0
    steps: int = 0
    wrong_steps: int = 0
    single: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cut: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "refused": dict(self.refused)}


def build_process_data(
    solutions: Solutions,
    marks: Callable[[Solution], tuple[MarkedStep, ...]],
    continuations: int,
    place: tuple[Path, str],
    media: Path,
    labels: StepLabels,
    progress: Progress = silent,
) -> ProcessReport:
    """Mark every step and write the records; nothing is asked here. place: folder, and name of the data.

    marks: of a solution; raises Unmarked where one is missing. continuations: behind every step.

    NAME_steps.jsonl holds the solutions with the scores of their steps, NAME_prm.jsonl talks that train a
    judge, NAME_orm.jsonl talks of one turn. meta.json names the talks (meta_orm.json the latter), steps.html
    shows some, refused.jsonl has the lines that were not used. Files of an earlier run are replaced.
    """
    folder, name = place
    report = ProcessReport(len(solutions))
    ends = ("steps", "prm", "orm") if labels.orm else ("steps", "prm")
    files = [*(folder / f"{name}_{end}.jsonl" for end in ends), folder / "refused.jsonl"]
    with disk_faults(folder), ExitStack() as streams:
        *records, refused = [streams.enter_context(atomic_write(file)) for file in files]
        writing = _Writing(report, labels, records, refused, media, files[1])
        for number, solution in enumerate(solutions.read(writing.refuse), 1):
            progress("solutions", number, len(solutions))
            writing.take(solution, marks, continuations)
    report.files += files
    for end in ends[1:]:
        meta = folder / ("meta.json" if end == "prm" else f"meta_{end}.json")
        entry = {"root": str(media.resolve()), "annotation": f"{name}_{end}.jsonl", "data_augment": False}
        write_meta(meta, {f"{name}_{end}": {**entry, "repeat_time": 1, "length": report.kept}})
        report.files.append(meta)
    if labels.page:
        report.files.append(
            write_page(folder / "steps.html", step_page(name, writing.seen, media, labels.threshold))
        )
    return report


@dataclass
class _Writing:
    """Records of one run. seen: solutions drawn for the page."""

    report: ProcessReport
    labels: StepLabels
    records: list[IO[bytes]]
    refused: IO[bytes]
    media: Path
    file: Path
    seen: list[tuple[SampledResponse, tuple[MarkedStep, ...]]] = field(default_factory=list)
    draw: random.Random = field(default_factory=lambda: random.Random(derive_seed("solutions on the page")))

    def refuse(self, refused: RefusedSolution) -> None:
        """One line more that isn't used."""
        self.report.refused[refused.why] += 1
        if len(self.report.first) < MOST_TOLD:
            detail = f": {refused.detail}" if refused.detail else ""
            self.report.first.append(f"line {refused.line}: {refused.why}{detail}")
        self.refused.write(json_line(vars(refused)))

    def take(
        self, solution: Solution, marks: Callable[[Solution], tuple[MarkedStep, ...]], continuations: int
    ) -> None:
        """Write a solution, or refuse it."""
        response, number = solution.response, self.report.kept
        asked = self.labels.threshold, self.labels.train_turn_ends, self._system
        try:
            steps = marks(solution)
            made = [
                marked_record(response, steps, continuations),
                step_talk(number, response, steps, *asked),
                outcome_talk(number, response, steps, *asked),
            ]
            require_readable(made[1], self.file, response.line, self.media)
        except Unmarked as error:
            return self.refuse(RefusedSolution(response.line, UNMARKED, str(error)))
        except DataError as error:
            return self.refuse(RefusedSolution(response.line, UNREADABLE, str(error.faults[0])))
        for stream, record in zip(self.records, made, strict=False):
            stream.write(json_line(record))
        self._count(response, steps)

    @property
    def _system(self) -> str:
        return SYSTEM if self.labels.system is None else self.labels.system

    def _count(self, response: SampledResponse, steps: tuple[MarkedStep, ...]) -> None:
        report = self.report
        report.kept += 1
        report.steps += len(steps)
        report.single += len(steps) == 1
        report.wrong_steps += sum(label_of(s.score, self.labels.threshold) == WRONG for s in steps)
        if len(self.seen) < self.labels.page:
            self.seen.append((response, steps))
        elif (place := self.draw.randrange(report.kept)) < self.labels.page:
            self.seen[place] = response, steps
