"""Contrastive pairs: what a family folder declares of one, and who reads a folder that holds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tessera.families.architecture import StoredGrid
from tessera.families.keymap import KeyMap
from tessera.models.pair.config import PairConfig

if TYPE_CHECKING:
    from tessera.chat.tokenizer import Tokenizer
    from tessera.families.pair_texts import TextRules

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class PairReading:
    """What a folder's config says."""

    name: str
    config: PairConfig
    rules: TextRules
    stored_grid: StoredGrid | None = None
    notes: tuple[str, ...] = ()


class PairLayout(Protocol):
    """The published layout of a pair; a module of the family folder."""

    LORA_RANKS: Mapping[str, str]
    """First word of a stored key -> key of config.json that holds the rank of its LoRA matrices."""
    FILES: tuple[str, ...]
    """Files beside weights and tokenizer that `write_config` makes."""

    def reads(self, config: Mapping[str, Any]) -> bool:
        """Whether a config.json describes a pair of this family."""

    def read_config(self, folder: Path, positions: tuple[int, ...] | None) -> PairReading:
        """The pair that the folder describes; `positions`: shape of the stored position embedding, None when
        unknown. Raises ValueError naming file, key and remedy."""

    def key_table(self) -> KeyMap:
        """How the layout names our parameters."""

    def write_config(self, folder: Path, reading: PairReading, tokenizer: Tokenizer) -> None:
        """Everything but weights and vocabulary, into a folder with a saved tokenizer."""


@dataclass(frozen=True)
class PairFamily:
    """One family of pairs."""

    name: str
    layout: PairLayout
    toys: Mapping[str, PairConfig]
    """Sizes that were never published."""


def pair_families() -> tuple[PairFamily, ...]:
    """Every declared one."""
    from tessera.families.internvl_g.architecture import INTERNVL_G

    return (INTERNVL_G,)


def find_pair(config: Mapping[str, Any]) -> PairFamily | None:
    """Who reads the content of a config.json as a pair; None when it is none."""
    return next((family for family in pair_families() if family.layout.reads(config)), None)


def get_pair(name: str) -> tuple[PairFamily, PairConfig]:
    """Family and config of a released pair or a toy. Raises ValueError as `get_released` does."""
    from tessera.families.catalogue import get_released

    for family in pair_families():
        if name in family.toys:
            return family, family.toys[name]
    found = get_released(name)
    if not isinstance(found.model, PairConfig):
        known = ", ".join(toy for family in pair_families() for toy in family.toys)
        raise ValueError(f"model: {found.name} is a {found.kind}, not a pair; toys: {known}")
    return next(family for family in pair_families() if family.name == found.architecture), found.model
