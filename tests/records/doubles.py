"""Stand-ins for tests of packing and loading: sources and encoders whose lengths are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tessera.chat.encoder import Encoded, Lengths
from tessera.chat.message import Conversation, say
from tessera.imaging.grid import Tiling
from tessera.imaging.pictures.reading import PUBLISHED
from tessera.records.faults import DataError, Reason, RecordFault


@dataclass(frozen=True)
class ListSource:
    """`lengths` gives (tokens, tiles) of each record; records in `broken` are faulty."""

    lengths: tuple[tuple[int, int], ...]
    name: str = "list"
    endless: bool = False
    broken: frozenset[int] = frozenset()
    stamp: str | None = None
    """A fingerprint makes the source one that is indexed."""

    def fingerprint(self) -> str | None:
        return self.stamp

    @property
    def size(self) -> int | None:
        return None if self.endless else len(self.lengths)

    def place(self, index: int) -> tuple[Path, int]:
        return Path(f"{self.name}.jsonl"), index + 1

    def conversation(self, index: int) -> Conversation:
        if index in self.broken:
            raise DataError([RecordFault(*self.place(index), "image", Reason.MISSING_FILE, "gone.png")])
        tokens, tiles = self.lengths[index % len(self.lengths)]
        return Conversation((say("user", f"{self.name} {index} {tokens} {tiles}"),))


class SizedEncoder:
    """Makes as many tokens and tiles as the text asks for; every value names the record."""

    tiling = Tiling()
    frames = 8
    pictures = PUBLISHED

    def describe(self) -> dict[str, str]:
        return {"encoder": "sized"}

    def measure(self, conversation: Conversation) -> Lengths:
        *_, tokens, tiles = conversation.messages[0].text.split()
        return Lengths(int(tokens), int(tiles), int(tokens) - max(1, int(tokens) // 2))

    def encode(self, conversation: Conversation) -> Encoded:
        lengths = self.measure(conversation)
        number = int(conversation.messages[0].text.split()[1])
        weights = np.ones(lengths.tokens, dtype=np.float32)
        weights[: max(1, lengths.tokens // 2)] = 0
        return Encoded(
            ids=np.full(lengths.tokens, number, dtype=np.int32),
            weights=weights,
            tiles=np.full((lengths.tiles, 2, 2, 3), number % 256, dtype=np.uint8),
            tiles_per_image=(lengths.tiles,) if lengths.tiles else (),
        )
