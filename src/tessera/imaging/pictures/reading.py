"""What may be chosen about reading pictures, as one value: the same for measuring, training and chat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Self

import PIL.ImageColor
from pydantic import ValidationError, field_validator

from tessera.runtime.config import Config, first_fault
from tessera.runtime.shown import shown

Depth = Literal["clip", "type", "picture"] | tuple[float, float]


class PictureReading(Config):
    """How files become RGB. The defaults are the published recipe, `PIL.Image.open(x).convert("RGB")`."""

    orientation: Literal["stored", "exif"] = "stored"
    """stored: as the pixels lie in the file; exif: turned as the file's EXIF block says"""
    transparency: str = "drop"
    """drop: the colours under transparent pixels show; or a colour (white, #ffffff) to lay them on"""
    depth: Depth = "clip"
    """grey of more than 8 bits: clip at 255; or scale the type's range, the picture's own, or low and high"""
    animation: Literal["first", "refuse"] = "first"
    """several frames: take the first, or refuse the file"""

    @field_validator("transparency")
    @classmethod
    def _coloured(cls, value: str) -> str:
        if value != "drop" and len(value) <= 40:
            PIL.ImageColor.getrgb(value)  # its ValueError names the value
        elif value != "drop":
            raise ValueError(f"{shown(value)} is neither drop nor a colour")
        return value

    @field_validator("depth", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        """A list, as files hold it, is a pair."""
        return tuple(value) if isinstance(value, list) else value

    @field_validator("depth")
    @classmethod
    def _ordered(cls, value: Depth) -> Depth:
        if isinstance(value, tuple) and not (all(map(math.isfinite, value)) and value[0] < value[1]):
            raise ValueError(f"{list(value)}: give [low, high] with low below high")
        return value

    @classmethod
    def read(cls, given: object) -> Self:
        """From a value, or a mapping of its fields. ValueError names the field and what it may be."""
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            raise ValueError(f"{shown(given)} is no object; give some of {', '.join(cls.model_fields)}")
        try:
            return cls(**{str(key): value for key, value in given.items()})
        except ValidationError as error:
            field = cls.model_fields.get(str(error.errors()[0]["loc"][0]))
            remedy = field.description if field else f"give some of {', '.join(cls.model_fields)}"
            raise ValueError(f"{first_fault(error)}; {remedy}") from error

    def __str__(self) -> str:
        """What differs from the published recipe."""
        told = [f"{name}={value}" for name, value in self.model_dump(exclude_defaults=True).items()]
        return " ".join(told) or "published"


PUBLISHED = PictureReading()
