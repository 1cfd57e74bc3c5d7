"""The base of every setting in the project: frozen, and unknown fields are errors."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """A frozen pydantic model that refuses unknown fields; variants come from `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def first_fault(error: ValidationError, *above: str) -> str:
    """Field, under the names `above`, and reason of the first thing that pydantic found wrong."""
    first = error.errors()[0]
    field = ".".join(map(str, (*above, *first["loc"])))
    return f"{field}: {first['msg']}" if field else first["msg"]
