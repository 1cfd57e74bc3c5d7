"""`tessera answer`: a question, or a file of them, answered by one of several candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

import tessera
from tessera.align.asking import AskedRecord, Questions
from tessera.align.prompts import PROMPTS, write_prompt
from tessera.align.test_time.answering import ChosenAnswer, answer_asked
from tessera.align.test_time.model import SelectingModel
from tessera.align.test_time.questions import FileAnswering
from tessera.align.test_time.settings import USUAL_TOKENS, CandidateSampling
from tessera.chat.batch.lines import BatchReplies, name_of
from tessera.chat.message import Conversation, ask, say
from tessera.cli.preference.sample import Outcome, RequestingCommand
from tessera.cli.question import QuestionCommand
from tessera.cli.serving.selecting import SelectionArguments
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import shown

PLAIN = "plain"
"""Asks the question as it is."""
OF_FILES = ("endpoint", "http", "name", "media_root", "allow_remote", "at_once", "limits")
OF_QUESTIONS = ("words", "start", "end", "frames", "fps", "system", "think")
"""Options of one way of asking alone."""
MOST_SHOWN = 8
"""Answers that are told; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class AnswerCommand(QuestionCommand, RequestingCommand):
    """Answer a question by the best, or the most frequent, of several candidates; or a file of questions.

    Without --best-of and --majority there is one candidate, which is greedy (docs/test_time.md).
    """

    file: Annotated[Path | None, tyro.conf.arg(metavar="QUESTIONS")] = None
    """Answer these: records with `question`, and `image` (a path or several); .jsonl, .json, .parquet."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """With --file: where they go, each with its answer. The same command goes on where it was interrupted."""
    selecting: Annotated[SelectionArguments, tyro.conf.arg(name="")] = SelectionArguments()
    prompt: str = "en_v2"
    """Name of the prompt that asks for reasoning; plain asks the question as it is."""
    asking: Annotated[CandidateSampling, tyro.conf.arg(name="")] = CandidateSampling()

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False} if self.output else {}

    def run(self) -> int:
        if self.selecting.best_of is not None and self.selecting.majority is not None:
            raise ValueError("--best-of and --majority: choose one of them")
        self.selecting.check()
        if self.prompt not in (*PROMPTS, PLAIN):
            raise ValueError(f"--prompt {shown(self.prompt)}: choose one of {', '.join((*PROMPTS, PLAIN))}")
        if self.selecting.number > 1 and not self.asking.temperature:
            raise ValueError("--temperature 0: all candidates would be alike; give one above 0")
        if (self.file is None) != (self.output is None):
            raise ValueError("--file and --output go together: what is asked, and where answers go")
        if self.file is not None and self.output is not None:
            return self._answer_file(self.file, self.output)
        return self._answer_one()

    @property
    def _version(self) -> str | None:
        return None if self.prompt == PLAIN else self.prompt

    def _refuse(self, names: Collection[str], why: str) -> None:
        """ValueError for an option that would be lost."""
        for field in fields(self):
            if field.name in names and getattr(self, field.name) != field.default:
                raise ValueError(f"--{field.name.replace('_', '-')}: {why}")

    def _answer_one(self) -> int:
        self._refuse(OF_FILES, "belongs to a file of questions; give --file and -o, or leave it out")
        media, question = self.media_and_question()
        if not question and not media:
            raise ValueError("nothing to ask: give a picture, a clip or a question; or --file")
        question = question or media.default_question
        asked = question if self._version is None else write_prompt(question, self._version, 0)
        system = () if self.system_text is None else (say("system", self.system_text),)
        talk = Conversation((*system, ask(asked, media.images, media.videos, media.audios)))
        critic = self.selecting.open(self.loading.device)
        model = tessera.load(self.model, **asdict(self.loading))
        model = SelectingModel(model.loaded, self.max_batch, self.engine)
        found = answer_asked(
            self.selecting.rule,
            model,
            {"question": talk, **self._options()},
            self._version,
            self.selecting.number,
            critic,
            self.asking.greedy_first,
        )
        self.tell(
            lambda: {"model": model.summary, "question": question} | found.as_json(), lambda: show(found)
        )
        return 0

    def _options(self) -> dict[str, Any]:
        """Keywords of `ChatModel.chat`."""
        names = ("temperature", "top_k", "top_p", "seed", "max_tiles")
        options = {name: getattr(self.asking, name) for name in names}
        if self.asking.new_tokens is not None:
            options["max_new_tokens"] = self.asking.new_tokens
        return options

    def _answer_file(self, file: Path, output: Path) -> int:
        self._refuse(OF_QUESTIONS, "belongs to one question; with --file, leave it out")
        questions = Questions(file)
        scores = output.with_name(f"{output.name}.scores")
        answering = FileAnswering(
            file,
            self.media_root or file.parent,
            self._version,
            self.selecting.number,
            self.selecting.rule,
            self.asking,
            self.selecting.remembering(scores, self.loading.device),
        )
        asked = (request for question in questions for request in answering.requests_of(question))

        def records(replies: BatchReplies, outcome: Outcome) -> Iterator[dict[str, Any]]:
            with progress_bars() as bars:
                for number, question in enumerate(questions):
                    bars("chosen", number, len(questions))
                    yield from record_of(answering, question, replies, outcome)

        return self.ask_into(
            output,
            asked,
            file.parent,
            records,
            Outcome(len(questions)),
            ("answers to", "questions"),
            USUAL_TOKENS,
        )


def record_of(
    answering: FileAnswering, question: AskedRecord, replies: BatchReplies, outcome: Outcome
) -> Iterator[dict[str, Any]]:
    """The record of a question, if it has one. Candidates that failed are named."""
    found = {}
    for number in range(answering.n):
        reply = replies[name_of(question.line, number)]
        if reply.fault:
            outcome.faults.append(f"line {question.line}, candidate {number}: {reply.fault}")
            continue
        found[number] = reply
        outcome.cut += reply.finish == "length"
        outcome.empty += not reply.text.strip()
    if not found:
        return
    try:
        record = answering.record(question, found)
    except ValueError as error:
        outcome.faults.append(f"line {question.line}: {error}")
        return
    outcome.responses += 1
    yield record


def show(found: ChosenAnswer) -> None:
    """The response, its answer, and how many said what."""
    print(found.response.strip())
    count = len(found.candidates)
    if count == 1:
        return
    print(f"\nanswer: {shown(found.answer, bare=True)} ({found.why})")
    votes = Counter(one.cluster for one in found.candidates)
    first = {one.cluster: one for one in reversed(found.candidates)}
    for cluster, number in votes.most_common(MOST_SHOWN):
        answer = "(no answer)" if first[cluster].answer is None else shown(first[cluster].answer, bare=True)
        print(f"{number:>6}  {answer}")
    if len(votes) > MOST_SHOWN:
        print(f"        and {len(votes) - MOST_SHOWN} more")
    rating = f", {found.critic_seconds:.1f} s rating" if found.critic_seconds else ""
    shared = f"{found.prompt_tokens:,} tokens of the prompt shared"
    print(f"{count} candidates: {found.tokens:,} tokens in {found.seconds:.1f} s{rating}; {shared}")
