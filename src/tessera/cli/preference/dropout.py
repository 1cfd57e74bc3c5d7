"""`tessera prefer dropout`: responses beside what the model makes of their first half without the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field

from tessera.align.asking import AnswerSampling, Responses, continued, first_words
from tessera.chat.batch.lines import BatchReplies, name_of
from tessera.cli.preference.sample import AskingCommand, Outcome

OWN = ("response", "sample", "finish_reason")
"""Fields of a response that a pair has no more."""


class Continuing(AnswerSampling):
    """How a response is continued (docs/facts/preferences.md)."""

    new_tokens: int = Field(default=2048, ge=1)


@dataclass(frozen=True, kw_only=True)
class DropoutCommand(AskingCommand):
    """DropoutNTP: each response is preferred to its own first half as the model ends it without the picture.

    For data without known answers. The same command goes on where it ended."""

    responses: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RESPONSES")]
    """What `tessera prefer sample` wrote."""
    share: float = 0.5
    """Of a response's words that stay."""
    asking: Annotated[Continuing, tyro.conf.arg(name="")] = Continuing()

    def run(self) -> int:
        if not 0 < self.share < 1:
            raise ValueError(f"--share {self.share}: give a number between 0 and 1")
        responses = Responses(self.responses)
        records = partial(self._pairs, responses)
        words = ("pairs of", "responses")
        asked = self._requests(responses)
        return self.ask_into(
            self.output, asked, self.responses.parent, records, Outcome(len(responses)), words
        )

    def _requests(self, responses: Responses) -> Iterator[dict[str, Any]]:
        for said in responses:
            yield continued(said.prompt, first_words(said.text, self.share), said.line, self.asking)

    def _pairs(
        self, responses: Responses, replies: BatchReplies, outcome: Outcome
    ) -> Iterator[dict[str, Any]]:
        for said in responses:
            reply = replies[name_of(said.line, 0)]
            rejected = reply.behind(first_words(said.text, self.share))
            same = "both answers are the same" if rejected.strip() == said.text.strip() else ""
            if fault := reply.fault or same:
                outcome.faults.append(f"line {said.line}: {fault}")
                continue
            outcome.responses += 1
            outcome.cut += reply.finish == "length"
            kept = {name: value for name, value in said.record.items() if name not in OWN}
            yield {**kept, "chosen": said.text, "rejected": rejected}
