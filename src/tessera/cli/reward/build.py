"""`tessera prm build QUESTIONS|RESPONSES -o FOLDER`: solutions whose steps have scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from tessera.align.asking import ResponseSampling
from tessera.align.process.building import ProcessReport, StepLabels, build_process_data
from tessera.align.process.continuing import Continuations, MarkedStep, recorded_marks
from tessera.align.process.solutions import RefusedSolution, Solution, Solutions
from tessera.chat.batch.lines import BatchReplies
from tessera.cli.preference.sample import STOPPED, AskedQuestions, AskingCommand, Outcome, write_lines
from tessera.cli.terminal.tables import Terminal, counts_table, say
from tessera.records.readers.records import open_container
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown
from tessera.scoring.reasoned.datasets import modes_for
from tessera.scoring.reasoned.judging import AnswerJudge, available


class SolutionSampling(ResponseSampling):
    """How solutions are sampled, and continued (docs/facts/process_reward.md)."""

    responses: int = Field(default=4, ge=1, le=10_000)
    """solutions of every question"""


@dataclass(frozen=True, kw_only=True)
class PrmBuildCommand(AskingCommand):
    """Sample solutions, cut them into steps at blank lines, and let the model go on from every step.

    A step's score is the share of continuations that end right. Solutions that have scores already (raw files
    of VisualPRM400K) become data as they are. The same command goes on at the continuation where it ended.
    Exit code 1 when solutions were refused, or none was kept; FOLDER says why (docs/prm.md).
    """

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="QUESTIONS|RESPONSES")]
    """Questions with known answers, what `tessera prefer sample` made of such, or marked solutions."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the data, the page, what was refused, and the answers so far."""
    prompt: str = "en_v2"
    """Name of the prompt that asks for reasoning; the Chinese one where the file's name has _zh_."""
    asking: Annotated[SolutionSampling, tyro.conf.arg(name="")] = SolutionSampling()
    continuations: int = 16
    """From every step."""
    max_steps: int = 12
    """A solution with more pieces has them merged."""
    early_stop: bool = False
    """Try no step behind one from which no continuation was right; their scores are 0."""
    labels: Annotated[StepLabels, tyro.conf.arg(name="")] = StepLabels()
    dataset: str | None = None
    """Whose modes tell right from wrong, as chartqa or docvqa; by default what the file's name tells."""
    modes: tuple[str, ...] = ()
    """Use these modes: vqa, relaxed, anls, mc, math, latex, expression, math_verify."""
    prompt_version: str | None = None
    """Version of responses that name none: en, zh, en_v2, zh_v2, en_r1 or zh_r1."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: True}

    def run(self) -> int:
        self.at_least(continuations=1, max_steps=1)
        modes = self.modes or available(modes_for(self.dataset or self.source.name))
        continuations = Continuations(self.asking, self.continuations, AnswerJudge(modes), self.early_stop)
        self.output.mkdir(parents=True, exist_ok=True)
        outcome, first = Outcome(), self._first()
        if "steps_with_score" in first:
            solutions = Solutions(
                self.source, self._media, self.max_steps, self.prompt_version or self.prompt
            )
            report: ProcessReport | None = self._built(solutions, recorded_marks)
        else:
            file = self.source if "response" in first else self._responses(outcome)
            report = None if file is None else self._marked(file, continuations)
        if report is None:
            return STOPPED
        values = report.as_json() | {"output": self.output, "modes": modes, "unanswered": outcome.faults}
        self.tell(lambda: values, lambda: show(report, outcome, self.output))
        return int(bool(report.refused or outcome.faults) or not report.kept)

    @property
    def _media(self) -> Path:
        return self.media_root or self.source.parent

    def _first(self) -> Mapping[str, object]:
        """The first record of the source, which tells what it holds."""
        records = open_container(self.source)
        first = records.record(0) if len(records) else None
        return first if isinstance(first, dict) else {}

    def _marked(self, file: Path, continuations: Continuations) -> ProcessReport | None:
        """Data of a file of responses; None when its continuations were stopped."""
        solutions = Solutions(file, self._media, self.max_steps, self.prompt_version)
        if (answers := self._continued(solutions, continuations)) is None:
            return None
        with BatchReplies(answers) as replies:
            report = self._built(solutions, lambda each: continuations.marks(each, replies))
            report.prompt_tokens, report.cached_tokens = replies.prompt_tokens, replies.cached_tokens
            report.cut = replies.cut
        return report

    def _built(
        self, solutions: Solutions, marks: Callable[[Solution], tuple[MarkedStep, ...]]
    ) -> ProcessReport:
        place = self.output, self.source.stem
        with progress_bars() as bars:
            return build_process_data(
                solutions, marks, self.continuations, place, self._media, self.labels, bars
            )

    def _responses(self, outcome: Outcome) -> Path | None:
        """The file of responses that are sampled; None when that was stopped."""
        questions = AskedQuestions(self.source, self.prompt, self.asking)
        file = self.output / "solutions.jsonl"
        outcome.questions = len(questions.questions)
        answers = self.all_answered(file, questions.requests(), self._media)
        if answers is not None:
            with BatchReplies(answers) as replies:
                write_lines(file, questions.records(replies, outcome))
        return answers and file

    def _continued(self, solutions: Solutions, continuations: Continuations) -> Path | None:
        """The file of answers to all continuations; with early_stop they are asked step by step."""
        file = self.output / "continuations"
        answers = file.with_name(f"{file.name}.answers")
        if not any(True for _ in solutions.read(_unheard)):
            answers.touch()
            return answers
        for _ in range(self.max_steps if self.early_stop else 1):
            with ExitStack() as opened:
                replies = opened.enter_context(BatchReplies(answers)) if answers.is_file() else None
                asked = (continuations.requests(each, replies) for each in solutions.read(_unheard))
                if self.all_answered(file, chain.from_iterable(asked), self._media) is None:
                    return None
        return answers


def _unheard(refused: RefusedSolution) -> None:
    """What is refused is told when the data is written."""


def show(report: ProcessReport, outcome: Outcome, folder: Path) -> None:
    """Counts, what was refused and why, and what to do next."""
    console = Terminal()
    rows = {
        "solutions": [report.kept],
        "of one step": [report.single],
        "steps": [report.steps],
        "steps labelled -": [report.wrong_steps],
        "refused": [report.refused.total()],
        "lines": [report.lines],
    }
    console.print(counts_table("", ["count"], rows))
    if report.prompt_tokens:
        share = report.cached_tokens / report.prompt_tokens
        say(console, f"{counted(report.prompt_tokens, 'prompt token')}, {share:.0%} of them cached")
    if report.cut:
        say(console, f"{counted(report.cut, 'continuation')} cut by new_tokens")
    for why, count in report.refused.most_common():
        say(console, f"refused  {count:>9,}  {why}", style="red")
    if outcome.questions:
        say(console, outcome.in_words("solutions of", "questions"))
    say(console, *report.first, style="red")
    say(console, f"train on them: tessera tune MODEL {shown(folder / 'meta.json')} --out RUN")
