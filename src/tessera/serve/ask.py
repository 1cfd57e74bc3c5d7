"""What is asked, whatever the form of the request: a talk or raw prompts, how to choose, how to answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation
from tessera.chat.tool_calls import ToolUse
from tessera.engine.links.linker import Linker
from tessera.engine.request import Sampling
from tessera.scoring.selection.responses import ChosenResponse
from tessera.serve.choosing import AskedSelection
from tessera.serve.faults import ApiFault
from tessera.serve.forms.stream import DONE, data
from tessera.serve.said import Delta, Said

RawPrompt = str | tuple[int, ...]
"""A prompt as text, or as ids."""


@dataclass(frozen=True)
class Ask:
    """One request. `messages` are a talk; where it is None, `prompts` are raw texts or ids.

    tools: the functions that the model is told of. options: keywords of `ChatModel.prompt`. new_tokens: most
    tokens of an answer, None where nobody says. choices: answers to every prompt. streams: pieces as they
    come. usage: counts behind the last of them. echo: the words that the client began are part of the answer.
    selection: the choices are candidates, of which one is told.
    """

    messages: Sequence[Any] | None = None
    prompts: tuple[RawPrompt, ...] = ()
    tools: ToolUse = ToolUse()
    options: Mapping[str, Any] = field(default_factory=dict)
    new_tokens: int | None = None
    choices: int = 1
    streams: bool = False
    usage: bool = False
    echo: bool = False
    selection: AskedSelection | None = None


@dataclass(frozen=True)
class AnswerJob:
    """One answer to be made: its prompt, how its tokens are chosen, and its visual increment."""

    prompt: Encoded
    sampling: Sampling
    increment: float
    text: str = ""
    """The prompt, where the answer repeats it."""
    talk: Conversation | None = None
    """What was asked, where the answer is one of several candidates."""
    linker: Linker | None = None
    """Binds the links of the answer, where the model has link tokens."""


class AnswerForm(ABC):
    """One request in the form of an endpoint, and how its answer is written there."""

    @property
    @abstractmethod
    def ask(self) -> Ask:
        """What is asked. ApiFault or ValueError for fields that do not go together."""

    @abstractmethod
    def whole(self, said: Sequence[Said]) -> dict[str, Any]:
        """The whole answer; one entry of `said` a choice."""

    def selected(self, said: Sequence[Said], chosen: ChosenResponse) -> dict[str, Any]:
        """The whole answer where one of the choices was selected; only forms that ask for it have one."""
        raise NotImplementedError

    @abstractmethod
    def opening(self, said: Sequence[Said]) -> Iterable[bytes]:
        """What a stream begins with."""

    @abstractmethod
    def piece(self, said: Said, delta: Delta) -> Iterable[bytes]:
        """What a stream tells of a step of one choice."""

    @abstractmethod
    def closing(self, said: Sequence[Said]) -> Iterable[bytes]:
        """What a stream ends with."""

    def broken(self, fault: ApiFault) -> Iterable[bytes]:
        """What a stream ends with when an answer fails."""
        yield data(fault.body)
        yield DONE
