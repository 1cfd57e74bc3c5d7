"""What becomes of a record that is longer than a pack: one of four named policies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from tessera.chat.encoder import Lengths
from tessera.chat.message import Audio, Conversation, Image, Medium, Message, Part, Text, Video
from tessera.imaging.grid import Tiling

OverLong = Literal["error", "drop", "fewer_tiles", "split"]
"""error: a fault; drop: left out; fewer_tiles: pictures cut into fewer tiles and clips into fewer frames
until it fits; split: several samples, cut between turns. What can't be made to fit is dropped and counted;
with split that is every prompt with several answers, for its turns belong together."""


class Sizing(Protocol):
    """What of an encoder decides the size of pictures and clips."""

    @property
    def tiling(self) -> Tiling:
        """How pictures are cut."""

    @property
    def frames(self) -> int:
        """Frames of a clip on disk that doesn't say how many."""


Fits = Callable[[Conversation], Lengths | None]
"""Lengths of a conversation, or None when it is longer than a pack."""


@dataclass(frozen=True)
class Cut:
    """How a sample comes out of a record: whole, with at most `tiles` of `of`, or turns `first` to `last`."""

    tiles: int = 0
    of: int = 0
    first: int = 0
    last: int = 0

    def apply(self, conversation: Conversation, sizing: Sizing) -> Conversation:
        """The conversation that is left; the record's frame numbers must have been drawn before."""
        if self.tiles:
            return _limit(conversation, self.tiles, self.of, sizing)
        return _turns(conversation, self.first, self.last) if self.last else conversation


WHOLE = Cut()


def fewer_tiles(conversation: Conversation, sizing: Sizing, fits: Fits) -> tuple[Cut, Lengths] | None:
    """The mildest limit under which the conversation fits; None when one tile each is still too much."""
    top = max(
        [_own_limit(p, conversation, sizing) for p in conversation.media if not isinstance(p, Audio)],
        default=1,
    )
    for limit in range(top - 1, 0, -1):
        cut = Cut(tiles=limit, of=top)
        if lengths := fits(cut.apply(conversation, sizing)):
            return cut, lengths
    return None


def split_turns(
    conversation: Conversation, sizing: Sizing, fits: Fits
) -> tuple[list[tuple[Cut, Lengths]], int]:
    """The longest runs of turns that fit, and how many turns fit by no means.

    A later part begins with the pictures and clips of the turns before it, which it may speak of.
    """
    if conversation.alternatives:
        return [], 1
    end = len(_rounds(conversation)[1])
    kept: list[tuple[Cut, Lengths]] = []
    first = lost = 0
    while first < end:
        best: tuple[Cut, Lengths] | None = None
        for cut in (Cut(first=first, last=last) for last in range(first + 1, end + 1)):
            lengths = fits(cut.apply(conversation, sizing))
            if lengths is None:
                break
            best = cut, lengths
        if best is None:
            lost, first = lost + 1, first + 1
        else:
            kept.append(best)
            first = best[0].last
    return kept, lost


def _rounds(conversation: Conversation) -> tuple[tuple[Message, ...], list[tuple[Message, ...]]]:
    """The system message, if any, and the turns: a user's message with the answers to it."""
    messages = conversation.messages
    head = 1 if messages and messages[0].role == "system" else 0
    starts = [number for number in range(head, len(messages)) if messages[number].role == "user"]
    ends = [*starts[1:], len(messages)]
    return messages[:head], [messages[a:b] for a, b in zip(starts, ends, strict=True)]


def _turns(conversation: Conversation, first: int, last: int) -> Conversation:
    system, rounds = _rounds(conversation)
    media = [p for turn in rounds[:first] for m in turn for p in m.parts if not isinstance(p, Text)]
    question, *rest = (message for turn in rounds[first:last] for message in turn)
    question = replace(question, parts=(*_carried(media), *question.parts))
    return Conversation((*system, question, *rest))


def _carried(media: list[Medium]) -> Iterator[Part]:
    """Media of earlier turns, each on a line, labelled as in training when there are several pictures."""
    pictures = sum(isinstance(part, Image) for part in media)
    number = 0
    for part in media:
        if isinstance(part, Image) and pictures > 1:
            number += 1
            yield Text(f"Image-{number}: ")
        yield from (part, Text("\n"))


def _own_limit(part: Image | Video, conversation: Conversation, sizing: Sizing) -> int:
    """Tiles that a picture may have by itself: its own limit, or its share of the encoder's
    (docs/facts/imaging.md)."""
    if isinstance(part, Image) and part.max_tiles is not None:
        return part.max_tiles
    limit = sizing.tiling.max_tiles
    return conversation.share_tiles(limit) if isinstance(part, Image) else limit


def _limit(conversation: Conversation, tiles: int, of: int, sizing: Sizing) -> Conversation:
    """Pictures with at most `tiles` tiles, clips with that share of their frames."""

    def limited(part: Part) -> Part:
        if isinstance(part, Image):
            most = min(tiles, _own_limit(part, conversation, sizing))
            return replace(part, max_tiles=most, tiles=None)
        if isinstance(part, Video):
            all_frames = len(part.source) if isinstance(part.source, tuple) else sizing.frames
            frames = max(1, (part.frames or all_frames) * tiles // of)
            return replace(part, frames=frames, picked=part.picked and part.picked[:frames])
        return part

    return conversation.map_parts(limited)
