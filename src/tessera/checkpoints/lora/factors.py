"""Factors of one linear, and how those of several linears become those of one matrix, and back.

Published layouts lay matrices together that are apart here (InternLM2's wqkv, Phi-3's gate_up_proj), and cut
the ViT's qkv that is one here. A pair of factors follows: the A of several linears lie behind each other, and
each B fills its own columns in the rows of its linear. The sum of base and factors stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from tessera.families.keymap import Group


@dataclass(frozen=True)
class Factors:
    """scale * up down, with up [out, r] (PEFT's B) and down [r, in] (A)."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float

    @property
    def rank(self) -> int:
        """Columns of `up`."""
        return len(self.down)


def to_stored(
    group: Group, own: Mapping[str, Factors], shapes: Sequence[tuple[int, ...]]
) -> dict[str, Factors]:
    """Factors by stored name for a group of weights; `own` has those of some of its own names.

    `shapes`: of the group's own weights.
    """
    if len(group.own) == 1:
        given = own[group.own[0]]
        ups = group.to_stored([given.up])
        return {key: Factors(up, given.down, given.scale) for key, up in zip(group.stored, ups, strict=True)}
    down, scale, columns = stacked([own[name] for name in group.own if name in own])
    places = iter(columns)
    ups = []
    for name, shape in zip(group.own, shapes, strict=True):
        up = down.new_zeros(shape[0], len(down))
        if name in own:
            place, factor = next(places)
            up[:, place] = own[name].up * factor
        ups.append(up)
    return {group.stored[0]: Factors(group.to_stored(ups)[0], down, scale)}


def from_rows(parts: Sequence[tuple[int, Factors]], rows: int) -> Factors:
    """Factors of a matrix with so many rows, of those of pieces of it that begin at the rows given."""
    first = parts[0][1]
    whole = sum(len(part.up) for _, part in parts) == rows
    if whole and all(p.scale == first.scale and torch.equal(p.down, first.down) for _, p in parts):
        return Factors(
            torch.cat([p.up for _, p in sorted(parts, key=lambda part: part[0])]), first.down, first.scale
        )
    down, scale, columns = stacked([part for _, part in parts])
    up = down.new_zeros(rows, len(down))
    for (start, part), (place, factor) in zip(parts, columns, strict=True):
        up[start : start + len(part.up), place] = part.up * factor
    return Factors(up, down, scale)


def stacked(parts: Sequence[Factors]) -> tuple[torch.Tensor, float, list[tuple[slice, float]]]:
    """All A behind each other, the scale of the first, and for each the columns of its B and what these are
    to be multiplied by where its scale is another."""
    ends = [sum(part.rank for part in parts[: n + 1]) for n in range(len(parts))]
    places = [slice(end - part.rank, end) for end, part in zip(ends, parts, strict=True)]
    scale = parts[0].scale
    shares = [1.0 if math.isclose(part.scale, scale) else part.scale / scale for part in parts]
    return torch.cat([part.down for part in parts]), scale, list(zip(places, shares, strict=True))
