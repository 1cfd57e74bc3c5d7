"""`tessera prefer sample`: a model's responses to questions, many of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from tessera.align.asking import (
    AskedRecord,
    BatchReplies,
    Questions,
    ResponseSampling,
    name_of,
    requests,
    response_record,
)
from tessera.align.prompts import PROMPTS, version_for, write_prompt
from tessera.cli.serving.answering import AnsweringCommand, Defaults
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

MOST_TOLD = 3
"""Responses that failed and are named; the others are counted."""


@dataclass
class Outcome:
    """What came of a sampling; `faults` name the responses that there are not."""

    questions: int = 0
    responses: int = 0
    cut: int = 0
    """Responses that ended because their tokens ran out."""
    empty: int = 0
    faults: list[str] = field(default_factory=list)

    def in_words(self, output: Path) -> str:
        """For people."""
        cut = f", {self.cut} cut by new_tokens" if self.cut else ""
        empty = f", {self.empty} empty" if self.empty else ""
        lines = [f"{shown(output)}: {self.responses} responses to {self.questions} questions{cut}{empty}"]
        lines += [f"no response: {fault}" for fault in self.faults[:MOST_TOLD]]
        if len(self.faults) > MOST_TOLD:
            lines.append(f"and {len(self.faults) - MOST_TOLD} more without a response")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class SampleCommand(AnsweringCommand):
    """Ask a model every question many times. The same command goes on at the response where it ended."""

    questions: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="QUESTIONS")]
    """Records with `question`, `image` (a path or several) and `answer`; .jsonl, .json, .parquet."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where responses go, one a line; requests and answers are kept beside it."""
    prompt: str = "en_v2"
    """Name of the prompt that asks for reasoning; the Chinese one where the file's name has _zh_."""
    asking: Annotated[ResponseSampling, tyro.conf.arg(name="")] = ResponseSampling()

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False}

    def run(self) -> int:
        if self.prompt not in PROMPTS:
            raise ValueError(f"--prompt {shown(self.prompt)}: choose one of {', '.join(PROMPTS)}")
        questions = Questions(self.questions)
        asked, answers = beside(self.output)
        write_lines(asked, (each for question in questions for each in self._requests(question)))
        media = self.questions.parent
        counts, stop = self.answered(asked, answers, media, Defaults(), again=True)
        if stop.asked and counts.done < counts.requests:
            self.tell(lambda: {"left": counts.requests - counts.done}, lambda: None)
            return 130
        outcome = Outcome(len(questions))
        with BatchReplies(answers) as replies:
            write_lines(self.output, self._records(questions, replies, outcome))
        values = {"output": self.output, **vars(outcome)}
        self.tell(lambda: values, lambda: print(outcome.in_words(self.output)))
        return 1 if outcome.faults else 0

    @property
    def _version(self) -> str:
        return version_for(self.questions.name, self.prompt)

    def _requests(self, question: AskedRecord) -> Iterator[dict[str, Any]]:
        return requests(question, self._prompt(question), self.asking)

    def _prompt(self, question: AskedRecord) -> str:
        return write_prompt(question.text, self._version, len(question.images))

    def _records(
        self, questions: Questions, replies: BatchReplies, outcome: Outcome
    ) -> Iterator[dict[str, Any]]:
        for question in questions:
            for sample in range(self.asking.responses):
                reply = replies[name_of(question.line, sample)]
                if reply.fault:
                    outcome.faults.append(f"line {question.line}, response {sample}: {reply.fault}")
                    continue
                outcome.responses += 1
                outcome.cut += reply.finish == "length"
                outcome.empty += not reply.text.strip()
                yield response_record(question, self._prompt(question), self._version, sample, reply)


def beside(output: Path) -> tuple[Path, Path]:
    """Files of requests and answers of an output."""
    return output.with_name(f"{output.name}.requests"), output.with_name(f"{output.name}.answers")


def write_lines(file: Path, records: Iterator[dict[str, Any]]) -> None:
    """One JSON object a line, whole or not at all."""
    with disk_faults(file), atomic_write(file) as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
