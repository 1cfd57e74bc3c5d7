"""The base of every setting in the project: frozen, and unknown fields are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen pydantic model that refuses unknown fields; variants come from `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
