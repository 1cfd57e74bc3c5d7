"""What a source of conversations must offer, and a source with its place in a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tessera.chat.message import Conversation


class Source(Protocol):
    """Conversations by index; the same index always gives the same conversation. Must be picklable."""

    @property
    def name(self) -> str:
        """Unique in a mixture."""

    @property
    def size(self) -> int | None:
        """How many conversations there are; None when the source never ends."""

    def conversation(self, index: int) -> Conversation:
        """The conversation at an index. DataError when the record is faulty."""

    def place(self, index: int) -> tuple[Path, int]:
        """Where the record stands, for messages: file and line (from 1)."""


def sample_key(source: Source, index: int) -> str:
    """The key of a record in packs and logs: `source:index`."""
    return f"{source.name}:{index}"


@dataclass(frozen=True)
class WeightedSource:
    """A source in a mixture: probability of a draw (relative), passes per epoch, JPEG augmentation."""

    source: Source
    weight: float = 1.0
    repeat: float = 1.0
    augment: bool = False

    def __post_init__(self) -> None:
        if not self.weight > 0 or not self.repeat > 0:
            raise ValueError(
                f"{self.source.name}: weight {self.weight} and repeat {self.repeat} must be above 0; "
                "leave the source out instead"
            )
