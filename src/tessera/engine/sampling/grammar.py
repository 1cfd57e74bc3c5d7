"""The form that an answer must have, as a value: JSON after a schema, a regular expression, or choices."""

import json
from typing import Any, Self

from pydantic import field_validator, model_validator

from tessera.engine.sampling.repeats import patterns, require_small
from tessera.runtime.config import Config
from tessera.runtime.shown import shown

KINDS = ("json_schema", "regex", "choices", "lark")
WHITE_SPACE = r"( |\r?\n[ \t]{0,32})"
"""Between the parts of JSON: a space, or a new line and its indent. Small models would write nothing else."""


class Grammar(Config):
    """What an answer must be: give exactly one of these."""

    json_schema: str = ""
    """JSON that is valid under this schema, given as text or a mapping. `{"type": "object"}`: any object."""
    regex: str = ""
    """A text that this expression matches as a whole: Rust's syntax, without looking ahead or behind."""
    choices: tuple[str, ...] = ()
    """One of these texts."""
    lark: str = ""
    """A text that a grammar in llguidance's form of Lark makes, for what the others cannot say."""

    @field_validator("json_schema", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return json.dumps(given, ensure_ascii=False)
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        asked = [kind for kind in KINDS if getattr(self, kind)]
        if len(asked) != 1:
            raise ValueError(f"grammar = {', '.join(asked) or 'nothing'}: give one of {', '.join(KINDS)}")
        if "" in self.choices:
            raise ValueError("grammar.choices: one is empty; leave it out, or give a regex")
        require_small("grammar.regex", self.regex)
        if self.json_schema:
            read_schema(self.json_schema)
        return self


def read_schema(text: str) -> dict[str, Any]:
    """A schema with bounded white space. ValueError for what is no JSON, no object, or too large."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"grammar.json_schema = {shown(text)}: not JSON ({error}); correct it") from error
    if not isinstance(schema, dict):
        raise ValueError(f"grammar.json_schema = {shown(text)}: give an object, such as a schema is")
    for pattern in patterns(schema):
        require_small("grammar.json_schema.pattern", pattern)
    return bounded(schema)


def bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with the hint (llguidance's own) that white space has an end."""
    return {"x-guidance": {"whitespace_pattern": WHITE_SPACE}} | schema
