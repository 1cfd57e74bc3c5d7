"""Questions of a file, each with the chosen one of its replies: what `tessera answer --file` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tessera.align.asking import AskedRecord, requests, response_record, user_message
from tessera.align.critics.critic import Critic
from tessera.align.prompts import version_for, write_prompt
from tessera.align.test_time.settings import CandidateSampling
from tessera.chat.batch.lines import BatchReply
from tessera.chat.openai import read_messages
from tessera.scoring.selection.responses import CandidateResponse, choose, rated
from tessera.scoring.selection.rule import SelectionRule


@dataclass(frozen=True)
class FileAnswering:
    """How the questions of a file are answered. prompt: name, or None; media: folder of their pictures."""

    file: Path
    media: Path
    prompt: str | None
    n: int
    rule: SelectionRule
    asking: CandidateSampling = field(default_factory=CandidateSampling)
    critic: Critic | None = None

    @property
    def version(self) -> str | None:
        """Of the prompt; the Chinese one where the file's name says so."""
        return None if self.prompt is None else version_for(self.file.name, self.prompt)

    def prompt_of(self, question: AskedRecord) -> str:
        """What is asked."""
        if self.version is None:
            return question.text
        return write_prompt(question.text, self.version, len(question.images))

    def requests_of(self, question: AskedRecord) -> Iterator[dict[str, Any]]:
        """One for each candidate."""
        for request in requests(question, self.prompt_of(question), self.asking, self.n):
            wanted = {"logprobs": True} if self.rule.weighed else {}
            yield request | {"body": request["body"] | wanted}

    def record(self, question: AskedRecord, replies: Mapping[int, BatchReply]) -> dict[str, Any]:
        """The question with the chosen response, as `tessera prefer sample` writes it, and its `selection`.

        replies: by the number of the candidate, those that are there; at least one.
        """
        prompt, numbers = self.prompt_of(question), sorted(replies)
        said = [replies[number] for number in numbers]
        responses = [CandidateResponse(each.text, each.tokens, each.finish, each.logprob) for each in said]
        if self.critic is not None:
            message = user_message(prompt, question.images)
            talk = read_messages([message], root=self.media)
            responses = rated(responses, partial(self.critic.score, talk))
        chosen = choose(responses, self.version, self.rule, prompt)
        number = numbers[chosen.index]
        told = response_record(question, prompt, self.version or "", number, replies[number])
        selection = {"rule": vars(self.rule), "numbers": numbers} | chosen.as_json()
        del selection["response"]  # which the record has
        if self.version is None:
            del told["prompt_version"]
        return told | {"selection": selection}
