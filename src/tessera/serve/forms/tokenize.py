"""POST /tokenize: what the model really sees of a talk or of raw prompts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessera.chat.tool_calls import ToolUse
from tessera.serve.ask import Ask
from tessera.serve.faults import bad_field, invalid
from tessera.serve.prompt_view import PromptView


class TokenizeBody(BaseModel):
    """A talk or a text, with the fields of the other endpoints that change tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str | None = None
    messages: list[dict[str, Any]] | None = Field(default=None, min_length=1)
    prompt: str | None = None
    continue_final_message: bool = False
    max_tiles: int | None = Field(default=None, ge=1)
    visual_increment: float | None = None
    tools: list[Any] = []

    @classmethod
    def read(cls, body: dict[str, Any]) -> TokenizeBody:
        """From what a client sent. ApiFault names what is wrong."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise invalid(error) from error

    @property
    def ask(self) -> Ask:
        """What is to be looked at."""
        if (self.messages is None) == (self.prompt is None):
            raise bad_field("messages", "give either messages or prompt")
        if self.messages is None:
            return Ask(prompts=(self.prompt or "",))
        options = {
            "continue_final_message": self.continue_final_message,
            "max_tiles": self.max_tiles,
            "visual_increment": self.visual_increment,
        }
        try:
            return Ask(messages=self.messages, options=options, tools=ToolUse.read(self.tools))
        except ValueError as error:
            raise invalid(error) from error


def tokenized(seen: PromptView, longest: int) -> dict[str, Any]:
    """The answer: ids, positions, tiles of each picture or frame, pictures and clips, and readable text."""
    return {
        "count": len(seen.ids),
        "max_model_len": longest,
        "tokens": seen.ids.tolist(),
        "positions": seen.positions.tolist(),
        "tiles": [count for medium in seen.media for count in medium.tiles],
        "media": [
            {"tiles": sum(medium.tiles), "tokens": medium.tokens, "grid": medium.grid}
            for medium in seen.media
        ],
        "text": seen.text,
    }
