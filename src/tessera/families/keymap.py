"""Between our parameters and the tensors of a layout: names, and matrices that are cut or laid together.

A table is a list of rules; the first whose own prefix matches decides. Family folders hold the tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

Shape = tuple[int, ...]


@dataclass(frozen=True)
class KeyRule:
    """Prefixes of own names beside prefixes of stored names; what follows them agrees.

    `#` stands for a layer number. One beside one is another name. Several beside one: the rows of the several
    lie behind each other in the one. `head_width`: the one is InternLM2's `wqkv`, see `Group`. `stack`: the
    one has a dimension for experts.
    """

    own: tuple[str, ...]
    stored: tuple[str, ...]
    head_width: int | None = None
    stack: Stack | None = None

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """What finds an own name, one for each of `own`."""
        return tuple(re.compile(re.escape(prefix).replace(r"\#", r"(\d+)")) for prefix in self.own)

    def group(self, name: str) -> Group | None:
        """The tensors that belong together with an own name; None when the rule is about others."""
        for pattern in self.patterns:
            if found := pattern.match(name):
                number, rest = "".join(found.groups()), name[found.end() :]
                own, stored = (
                    tuple(prefix.replace("#", number) + rest for prefix in side)
                    for side in (self.own, self.stored)
                )
                return Group(own, stored, self.head_width, self.stack)
        return None


@dataclass(frozen=True)
class Stack:
    """One stored tensor [E, out, in] of so many experts, whose rows lie behind each other in ours,
    [E * out, in]; `turned` it is [E, in, out]. A bias is [E, out]."""

    experts: int
    turned: bool = False

    def stored_shape(self, own: Shape) -> Shape:
        """Of the stored tensor."""
        rows = own[0] // self.experts
        return (self.experts, *own[1:], rows) if self.turned else (self.experts, rows, *own[1:])

    def to_own(self, stored: torch.Tensor) -> torch.Tensor:
        """[E, …] to rows."""
        return (stored.transpose(1, 2) if self.turned else stored).flatten(0, 1)

    def to_stored(self, own: torch.Tensor) -> torch.Tensor:
        """Rows to [E, …]."""
        each = own.unflatten(0, (self.experts, -1))
        return each.transpose(1, 2).contiguous() if self.turned else each


@dataclass(frozen=True)
class Group:
    """Own parameters and stored tensors that hold the same numbers; one side or both have one member.

    `head_width` C marks the rows of InternLM2's `wqkv` (docs/facts/key_names.md): for each of K key-value
    heads its H/K query heads, then the key, then the value, C rows each.
    """

    own: tuple[str, ...]
    stored: tuple[str, ...]
    head_width: int | None = None
    stack: Stack | None = None

    def stored_shapes(self, own: Sequence[Shape]) -> list[Shape]:
        """Shapes of the stored tensors for own parameters of these shapes."""
        if self.stack is not None:
            return [self.stack.stored_shape(shape) for shape in own]
        if len(self.own) == len(self.stored):
            return list(own)
        rows, rest = sum(shape[0] for shape in own), own[0][1:]
        return [(rows // len(self.stored), *rest)] * len(self.stored)

    def to_own(self, stored: Sequence[torch.Tensor], shapes: Sequence[Shape]) -> list[torch.Tensor]:
        """Stored tensors to own ones of these shapes; what needs no new order is a view."""
        if self.stack is not None:
            return [self.stack.to_own(tensor) for tensor in stored]
        if len(self.stored) > 1:
            return [torch.cat(list(stored))]
        if len(self.own) == 1:
            return list(stored)
        if self.head_width is None:
            return list(stored[0].split([shape[0] for shape in shapes]))
        keys = shapes[1][0] // self.head_width
        grouped = stored[0].unflatten(0, (keys, -1, self.head_width))  # [K, H / K + 2, C, ...]
        return [part.flatten(0, 2) for part in (grouped[:, :-2], grouped[:, -2:-1], grouped[:, -1:])]

    def to_stored(self, own: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The reverse of `to_own`."""
        if self.stack is not None:
            return [self.stack.to_stored(tensor) for tensor in own]
        if len(self.stored) > 1:
            return list(own[0].chunk(len(self.stored)))
        if len(self.own) == 1:
            return list(own)
        if self.head_width is None:
            return [torch.cat(list(own))]
        keys = len(own[1]) // self.head_width
        parts = [part.unflatten(0, (keys, -1, self.head_width)) for part in own]
        return [torch.cat(parts, dim=1).flatten(0, 2)]


@dataclass(frozen=True)
class KeyMap:
    """The table of one layout."""

    rules: Sequence[KeyRule]

    def names(self, own: str) -> bool:
        """Whether it has a row for an own parameter."""
        return any(rule.group(own) for rule in self.rules)

    def group(self, own: str) -> Group:
        """The group of an own parameter; ValueError when the table has no row for it."""
        for rule in self.rules:
            if found := rule.group(own):
                return found
        raise ValueError(
            f"parameter {own!r} has no name in this layout: add a row to the family's weights.py"
        )


def renamed(rows: dict[str, str]) -> list[KeyRule]:
    """Rules of prefixes that only have another name: own -> stored."""
    return [KeyRule((own,), (stored,)) for own, stored in rows.items()]


OWN = KeyMap([KeyRule(("",), ("",))])
"""Tessera's layout: every parameter under its own name."""
