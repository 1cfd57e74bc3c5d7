"""Every member of the series by name."""

from __future__ import annotations

from collections.abc import Callable

from tessera.chat.tokenizer import Tokenizer
from tessera.families.family import Family
from tessera.families.internvl_2_5 import MEMBERS, member
from tessera.families.toy import nano_model, scale_model

TOYS: dict[str, Callable[[], Family]] = {"scale_model": scale_model, "nano_model": nano_model}


def family_names() -> tuple[str, ...]:
    """All names that `get_family` knows."""
    return (*TOYS, *MEMBERS)


def get_family(name: str) -> Family:
    """The member of this name. Raises ValueError with the known names."""
    if name in TOYS:
        return TOYS[name]()
    if name in MEMBERS:
        return member(name)
    raise ValueError(f"family: {name!r} is not in the catalogue; choose one of {', '.join(family_names())}")


def fresh(name: str, tokenizer: Tokenizer) -> Family:
    """The member of this name, fitted to a tokenizer: what a model made from nothing is built from."""
    return get_family(name).fitted(tokenizer)
