"""Numbers that configs of parts may hold, and what is asked of two of them together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tessera.runtime.config import Config

Size = Annotated[int, Field(ge=1, le=2**24)]
"""A width or a count of things; far above every model, far below what arithmetic on it could not bear."""
Layers = Annotated[int, Field(ge=1, le=2**14)]
Length = Annotated[int, Field(ge=1, le=2**40)]
Epsilon = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def check_multiple(config: Config, name: str, of: str) -> None:
    """ValueError where one field is no multiple of another."""
    if (value := getattr(config, name)) % (unit := getattr(config, of)):
        raise ValueError(f"{name} {value} is not a multiple of {of} {unit}")
