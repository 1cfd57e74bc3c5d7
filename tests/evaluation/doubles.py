"""Stand-ins for a model and its encoder: the encoder keeps the conversation, a rule answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tessera.chat.message import Conversation


@dataclass
class FakePrompt:
    conversation: Conversation
    ids: tuple[int, ...] = (1, 2, 3)


@dataclass
class FakeCompletion:
    text: str
    ids: tuple[int, ...] = (4,)

    def sound(self) -> FakeCompletion:
        return self


class FakeEncoder:
    def encode(self, conversation: Conversation, generate: bool = False) -> FakePrompt:
        assert generate, "evaluation must open the assistant's turn"
        return FakePrompt(conversation)

    def describe(self) -> dict[str, Any]:
        return {"template": "fake"}


class FakeEngine:
    """Answers each prompt by `rule(conversation)` and notes the batch sizes."""

    def __init__(self, rule: Callable[[Conversation], str]) -> None:
        self.rule = rule
        self.batches: list[int] = []

    def generate(self, prompts: Sequence[FakePrompt], sampling: Any) -> list[FakeCompletion]:
        self.batches.append(len(prompts))
        return [FakeCompletion(self.rule(prompt.conversation)) for prompt in prompts]
