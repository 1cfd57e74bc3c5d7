"""What an answer must look like: OpenAI's `response_format`, vLLM's `structured_outputs`, a required call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessera.chat.tool_calls import ToolUse
from tessera.engine.sampling.forced_calls import calls_grammar
from tessera.engine.sampling.grammar import Grammar
from tessera.serve.faults import ApiFault, bad_field

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
ANY_OBJECT = {"type": "object"}


class NamedSchema(BaseModel):
    """A JSON schema as OpenAI's clients wrap it. Every answer is valid under it, `strict` or not."""

    model_config = STRICT
    name: str = ""
    description: str | None = None
    schema_: dict[str, Any] = Field(default=ANY_OBJECT, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """`response_format`."""

    model_config = STRICT
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: NamedSchema | None = None


class StructuredOutputs(BaseModel):
    """`structured_outputs`: one of these."""

    model_config = STRICT
    json_: dict[str, Any] | None = Field(default=None, alias="json")
    regex: str | None = None
    choice: list[str] | None = None


def grammar_of(form: ResponseFormat, structured: StructuredOutputs | None, use: ToolUse) -> Grammar | None:
    """The one grammar that a request asks for. ApiFault for two of them, and for one that makes no sense."""
    wishes: dict[str, Callable[[], Grammar | None]] = {}
    if form.type == "json_schema" and form.json_schema is None:
        raise bad_field("response_format.json_schema", "missing; give an object with name and schema")
    if form.type != "text":
        schema = form.json_schema.schema_ if form.json_schema is not None else ANY_OBJECT
        wishes["response_format"] = lambda: Grammar.model_validate({"json_schema": schema})
    if structured is not None:
        wishes["structured_outputs"] = lambda: Grammar.model_validate(_of_structured(structured))
    if use.forced:
        wishes["tool_choice"] = lambda: calls_grammar(use)
    if len(wishes) > 1:
        first, second = list(wishes)[:2]
        raise bad_field(second, f"{first} asks for another form of the answer; leave one of them out")
    for field, make in wishes.items():
        try:
            return make()
        except ValidationError as error:
            reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise ApiFault(400, f"{field}: {reason}", "invalid_value", field) from error
        except ValueError as error:
            raise bad_field(field, str(error)) from error
    return None


def asked_in(grammar: Grammar) -> str:
    """The field that asked for a grammar, for messages about it."""
    if grammar.json_schema:
        return "response_format"
    return "tools" if grammar.lark else "structured_outputs"


def _of_structured(given: StructuredOutputs) -> Mapping[str, Any]:
    fields = {"json_schema": given.json_, "regex": given.regex, "choices": tuple(given.choice or ())}
    return {name: value for name, value in fields.items() if value}
