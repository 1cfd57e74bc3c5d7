"""`tessera prefer sample`: a model's responses to questions, many of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from tessera.align.asking import AskedRecord, Questions, ResponseSampling, requests, response_record
from tessera.align.prompts import PROMPTS, version_for, write_prompt
from tessera.chat.batch.lines import BatchReplies, name_of
from tessera.cli.serving.answering import AnsweringCommand, Defaults, Watch
from tessera.records.writing import json_line
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

STOPPED = 130
"""Exit code of a command that was stopped and can go on."""
MOST_TOLD = 3
"""Responses that failed and are named; the others are counted."""


@dataclass
class Outcome:
    """What came of asking; `faults` name the responses that there are not."""

    questions: int = 0
    responses: int = 0
    cut: int = 0
    """Responses that ended because their tokens ran out."""
    empty: int = 0
    faults: list[str] = field(default_factory=list)

    def in_words(self, made: str, of: str) -> str:
        """For people; `made` of what is counted."""
        cut = f", {self.cut} cut by new_tokens" if self.cut else ""
        empty = f", {self.empty} empty" if self.empty else ""
        lines = [f"{self.responses} {made} {self.questions} {of}{cut}{empty}"]
        lines += [f"no response: {fault}" for fault in self.faults[:MOST_TOLD]]
        if len(self.faults) > MOST_TOLD:
            lines.append(f"and {len(self.faults) - MOST_TOLD} more without a response")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class RequestingCommand(AnsweringCommand):
    """Has requests answered and makes records of the replies; requests and answers are kept beside them."""

    def ask_into(
        self,
        output: Path,
        requests: Iterator[dict[str, Any]],
        media: Path,
        records: Callable[[BatchReplies, Outcome], Iterator[dict[str, Any]]],
        outcome: Outcome,
        words: tuple[str, str],
        longest: int = Defaults.new_tokens,
    ) -> int:
        """The exit code. media: folder of the files that requests name; words: for `Outcome.in_words`.

        longest: answer of requests that don't say.
        """
        answers = self.all_answered(output, requests, media, longest)
        if answers is None:
            return STOPPED
        with BatchReplies(answers) as replies:
            write_lines(output, records(replies, outcome))
        values = {"output": output, **vars(outcome)}
        self.tell(lambda: values, lambda: print(f"{shown(output)}: {outcome.in_words(*words)}"))
        return 1 if outcome.faults else 0

    def all_answered(
        self,
        file: Path,
        requests: Iterator[dict[str, Any]],
        media: Path,
        longest: int = Defaults.new_tokens,
        watch: Watch | None = None,
    ) -> Path | None:
        """The file of answers, which stands beside `file` like the requests; None, and told, when stopped."""
        asked, answers = (file.with_name(f"{file.name}.{end}") for end in ("requests", "answers"))
        write_lines(asked, requests)
        counts, stop = self.answered(asked, answers, media, Defaults(new_tokens=longest), True, watch)
        if stop.asked and counts.done < counts.requests:
            self.tell(lambda: {"left": counts.requests - counts.done}, lambda: None)
            return None
        return answers


@dataclass(frozen=True, kw_only=True)
class AskingCommand(RequestingCommand):
    """The same with a file for the records."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the records go, one a line; requests and answers are kept beside it."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False}


@dataclass(frozen=True, kw_only=True)
class SampleCommand(AskingCommand):
    """Ask a model every question many times. The same command goes on at the response where it ended."""

    questions: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="QUESTIONS")]
    """Records with `question`, `image` (a path or several) and `answer`; .jsonl, .json, .parquet."""
    prompt: str = "en_v2"
    """Name of the prompt that asks for reasoning; the Chinese one where the file's name has _zh_."""
    asking: Annotated[ResponseSampling, tyro.conf.arg(name="")] = ResponseSampling()

    def run(self) -> int:
        if self.prompt not in PROMPTS:
            raise ValueError(f"--prompt {shown(self.prompt)}: choose one of {', '.join(PROMPTS)}")
        asked = AskedQuestions(self.questions, self.prompt, self.asking)
        outcome, words = Outcome(len(asked.questions)), ("responses to", "questions")
        return self.ask_into(
            self.output, asked.requests(), self.questions.parent, asked.records, outcome, words
        )


class AskedQuestions:
    """Questions of a file with a prompt. ValueError for an unknown prompt, and naming bad questions."""

    def __init__(self, file: Path, prompt: str, asking: ResponseSampling) -> None:
        if prompt not in PROMPTS:
            raise ValueError(f"--prompt {shown(prompt)}: choose one of {', '.join(PROMPTS)}")
        self.questions, self._asking = Questions(file), asking
        self._version = version_for(file.name, prompt)

    def requests(self) -> Iterator[dict[str, Any]]:
        """All of them, question after question."""
        for question in self.questions:
            yield from requests(question, self._prompt(question), self._asking, self._asking.responses)

    def records(self, replies: BatchReplies, outcome: Outcome) -> Iterator[dict[str, Any]]:
        """The responses; `outcome` counts them and names those that there are not."""
        for question in self.questions:
            for sample in range(self._asking.responses):
                reply = replies[name_of(question.line, sample)]
                if reply.fault:
                    outcome.faults.append(f"line {question.line}, response {sample}: {reply.fault}")
                    continue
                outcome.responses += 1
                outcome.cut += reply.finish == "length"
                outcome.empty += not reply.text.strip()
                yield response_record(question, self._prompt(question), self._version, sample, reply)

    def _prompt(self, question: AskedRecord) -> str:
        return write_prompt(question.text, self._version, len(question.images))


def write_lines(file: Path, records: Iterator[dict[str, Any]]) -> None:
    """One JSON object a line, whole or not at all."""
    with disk_faults(file), atomic_write(file) as stream:
        for record in records:
            stream.write(json_line(record))
