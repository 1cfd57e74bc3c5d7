"""Who takes the states of link tokens: decoders by name, what they are given, and what they may give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from tessera.chat.cutting.cutter import CutPicture
from tessera.imaging.decode import decode_image
from tessera.runtime.shown import shown


@dataclass(frozen=True, eq=False)
class SeenPicture:
    """A picture of the request, as a decoder gets it.

    number: its place among the request's pictures. tiles: uint8 [n, S, S, 3], of which the first columns *
    rows of its cut, row by row, make the picture; a thumbnail may follow.
    """

    number: int
    cut: CutPicture
    tiles: npt.NDArray[np.uint8]

    def picture(self) -> PIL.Image.Image:
        """The whole picture in RGB, decoded now."""
        return decode_image(self.cut.source, reading=self.cut.reading)


@dataclass(frozen=True, eq=False)
class LinkRequest:
    """What a decoder gets: projected states float32 [N, W] of one link token, and the request's pictures."""

    token: str
    states: torch.Tensor
    pictures: tuple[SeenPicture, ...] = ()


@dataclass(frozen=True, eq=False)
class Mask:
    """Pixels bool [H, W] of a picture of the request, by its `number`; score: how sure, 0 to 1."""

    picture: int
    pixels: npt.NDArray[np.bool_]
    score: float = 1.0


@dataclass(frozen=True, eq=False)
class LinkResult:
    """What a decoder made: masks, pictures, and boxes (left, top, right, bottom in shares of picture 0)."""

    masks: tuple[Mask, ...] = ()
    pictures: tuple[PIL.Image.Image, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()


class Decode(Protocol):
    """A decoder outside the model."""

    def __call__(self, link: LinkRequest, /) -> LinkResult:
        """What the states ask for. ValueError where it can't be made."""


@dataclass(frozen=True)
class LinkDecoders:
    """Decoders by the names that link tokens declare."""

    table: dict[str, Decode] = field(default_factory=dict)

    def register(self, name: str, decode: Decode, declared: Mapping[str, str]) -> None:
        """Take a decoder. ValueError for a name that no link token declares (token -> decoder)."""
        if name not in declared.values():
            known = (
                ", ".join(map(repr, dict.fromkeys(declared.values()))) or "none, for it has no link tokens"
            )
            raise ValueError(
                f"decoder = {shown(name)}: no link token of this model names it; named are {known}"
            )
        if not callable(decode):
            raise ValueError(f"decode = {shown(decode)}: give a function of a LinkRequest")
        self.table[name] = decode

    def find(self, name: str, token: str) -> Decode:
        """The decoder of this name. ValueError where nobody registered one."""
        if name not in self.table:
            raise ValueError(
                f"{token}: its decoder {name!r} is not there; give it with "
                f"model.register_decoder({name!r}, decode) (docs/link.md)"
            )
        return self.table[name]
