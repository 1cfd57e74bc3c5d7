"""What a source of conversations must offer, and a source with its place in a mixture."""

from dataclasses import dataclass
from typing import Protocol

from tessera.chat.message import Conversation
from tessera.records.files.places import Location

Place = tuple[Location, int]
"""File or URL of a record, and its line from 1 (the record's number where a file has no lines)."""


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

    def place(self, index: int) -> Place:
        """Where the record stands, for messages."""

    def fingerprint(self) -> str | None:
        """What changes with files and settings (path, size, time of change); None: lengths can't be kept."""


def sample_key(source: Source, index: int) -> str:
    """The key of a record in packs and logs: `source:index`."""
    return f"{source.name}:{index}"


@dataclass(frozen=True)
class WeightedSource:
    """A source in a mixture: probability of a draw (relative), passes per epoch, JPEG augmentation.

    frames: fewest and most frames that are drawn at random from a clip on disk, in every visit others; None
    leaves clips to the encoder, which takes its frames by the inference rule. document: interleaved text and
    pictures without roles, loss on all text (pre-training).
    """

    source: Source
    weight: float = 1.0
    repeat: float = 1.0
    augment: bool = False
    frames: tuple[int, int] | None = None
    document: bool = False

    def __post_init__(self) -> None:
        if not self.weight > 0 or not self.repeat > 0:
            raise ValueError(
                f"{self.source.name}: weight {self.weight} and repeat {self.repeat} must be above 0; "
                "leave the source out instead"
            )
        if self.frames is not None and not 1 <= self.frames[0] <= self.frames[1]:
            raise ValueError(
                f"{self.source.name}: min_frames {self.frames[0]} and max_frames {self.frames[1]}; "
                "keep 1 <= min_frames <= max_frames"
            )
