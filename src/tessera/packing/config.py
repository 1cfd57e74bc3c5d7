"""What a pack holds, what becomes of records that don't fit, and how packs are made: values passed whole."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from tessera.chat.encoder import Lengths
from tessera.chat.positions import require_increment
from tessera.packing.samples.overlong import OverLong
from tessera.packing.samples.weights import Averaging
from tessera.runtime.config import Config


class Limits(Config):
    """Capacities of a pack, and what to do with records that exceed them or are faulty."""

    max_tokens: int = Field(default=4096, ge=1)
    """capacity of a pack in tokens"""
    max_tiles: int = Field(default=48, ge=0)
    """capacity of a pack in tiles"""
    over_long: OverLong = "error"
    """what to do with a record that is longer than a pack; "error" makes it a fault"""
    on_fault: Literal["error", "skip"] = "error"
    """what to do with a record that can't be used: stop, or leave it out and count it"""
    workers: int = Field(default=0, ge=0)
    """processes that read and encode; 0 works in the main process"""

    def hold(self, sample: Lengths) -> bool:
        """Whether a pack has room for a sample of this length."""
        return sample.tokens <= self.max_tokens and sample.tiles <= self.max_tiles

    def excess(self, tokens: int, tiles: int, branches: Sequence[int] = ()) -> str:
        """How long a record is beside the most tokens and tiles of a pack; branches: of its answers."""
        told = f"{tokens} of {self.max_tokens} tokens, {tiles} of {self.max_tiles} tiles"
        if not branches:
            return told
        return f"{told}; a prompt of {tokens - sum(branches)}, answers of {' and '.join(map(str, branches))}"


class PackingConfig(Limits):
    """How samples are drawn, weighted and packed."""

    window: int = Field(default=1024, ge=1)
    """samples that are planned together when the lengths of all sources are indexed"""
    lookahead: int = Field(default=64, ge=1)
    """samples that are planned together when lengths are known only after encoding (drawn pictures)"""
    averaging: Averaging = "square"
    """weight of a supervised token in a sample that has n: token 1, sample 1/n, square 1/sqrt(n)"""
    v2pe: float | Literal["random"] | None = None
    """step of position from a visual token to the next: fixed (1, 1/2 ... 1/256), or drawn for each picture
    in each visit, as for InternVL3; None counts as usual"""
    seed: int = 0
    epochs: int | None = None
    """passes over the sources; None repeats them for ever"""
    augment: bool = True
    """JPEG augmentation of the sources that ask for it"""
    most_skipped: float = Field(default=0.1, ge=0, le=1)
    """share of the records that may be skipped before the run stops (looked at from 100 on)"""
    similar_steps: bool = False
    """packs of a step with similar work: ranks wait least, but steps are less varied"""
    prefetch: int = Field(default=2, ge=1)
    """packs each worker prepares ahead"""

    @field_validator("v2pe")
    @classmethod
    def _trained_increment(cls, value: float | str | None) -> float | str | None:
        return require_increment(value) if isinstance(value, float) else value
