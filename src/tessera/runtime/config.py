"""The base of every setting in the project: frozen, and unknown fields are errors."""

from pydantic import BaseModel, ConfigDict, ValidationError

from tessera.runtime.shown import shown


class Config(BaseModel):
    """A frozen pydantic model that refuses unknown fields; variants come from `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def first_fault(error: ValidationError, *above: str) -> str:
    """Field, under the names `above`, value and reason of the first thing that pydantic found wrong."""
    first = error.errors()[0]
    field = ".".join(map(str, (*above, *first["loc"])))
    # What a whole object says is long, and its own message names what is wrong in it.
    value = "" if isinstance(first["input"], dict) else f" = {shown(first['input'])}"
    said = first["msg"].removeprefix("Value error, ")
    return f"{field}{value}: {said}" if field else said
