"""Special strings of the series (docs/facts/tokens.md), always looked up by string, never by a fixed id, and
how many placeholders stand for media."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

IMG_START = "<img>"
IMG_END = "</img>"
IMG_CONTEXT = "<IMG_CONTEXT>"
QUAD_START, QUAD_END = "<quad>", "</quad>"
REF_START, REF_END = "<ref>", "</ref>"
BOX_START, BOX_END = "<box>", "</box>"

GROUNDING_TOKENS = (QUAD_START, QUAD_END, REF_START, REF_END, BOX_START, BOX_END)
"""Tokens that users and answers may write: they name regions and control nothing."""

ADDED_TOKENS = (IMG_START, IMG_END, IMG_CONTEXT, *GROUNDING_TOKENS)
"""The nine tokens in the order in which the official code appends them to a language model's tokenizer."""


@dataclass(frozen=True)
class SoundTokens:
    """What stands around and in the places of a sound (docs/facts/audio.md)."""

    start: str = "<audio>"
    end: str = "</audio>"
    context: str = "<AUDIO_CONTEXT>"
    """The placeholder, once for each token of the sound."""


@dataclass(frozen=True)
class SpecialTokens:
    """What stands around and in the places of a picture, and what else the tokenizer of a family has."""

    start: str = IMG_START
    end: str = IMG_END
    """Empty, as the start, where nothing stands around a picture."""
    context: str = IMG_CONTEXT
    """The placeholder, once for each visual token."""
    others: tuple[str, ...] = GROUNDING_TOKENS
    splits: bool = False
    """Whether text behind a picture is tokenised as if a prompt began there (LLaVA)."""
    sound: SoundTokens | None = None
    """None for a family that does not hear."""

    @property
    def pictures(self) -> tuple[str, ...]:
        """Those that stand around and in the place of a picture."""
        return tuple(filter(None, (self.start, self.end, self.context)))

    @property
    def sounds(self) -> tuple[str, ...]:
        """Those of sounds."""
        return (self.sound.start, self.sound.end, self.sound.context) if self.sound else ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every one, in the order in which they are added to a language model's tokenizer."""
        return (*self.pictures, *self.others, *self.sounds)


@dataclass(frozen=True)
class AddedToken:
    """A special string with its id. `strips_right`: white space behind it disappears (Phi-3).

    `special` tokens are left out of decoded text; the others (`<think>`, `<tool_call>`) are part of it.
    """

    text: str
    id: int
    special: bool = True
    strips_right: bool = False

    def entry(self) -> dict[str, Any]:
        """The token as tokenizer.json lists it."""
        sides = {"single_word": False, "lstrip": False, "rstrip": self.strips_right, "normalized": False}
        return {"id": self.id, "content": self.text, **sides, "special": self.special}


@dataclass(frozen=True)
class LinkSlots:
    """What stands behind a link token in a stream of ids: a slot for each of its learned queries.

    Slots are numbers from `first` on, above every row of the vocabulary: no text makes one, no model says
    one.
    counts: id of each link token and how many queries it has.
    """

    first: int = 0
    counts: tuple[tuple[int, int], ...] = ()

    @cached_property
    def table(self) -> dict[int, range]:
        """Id of a link token -> its slots."""
        found, following = {}, self.first
        for token, count in self.counts:
            found[token] = range(following, following + count)
            following += count
        return found

    def behind(self, token: int) -> range:
        """The slots that follow a token, none behind most."""
        return self.table.get(token, range(0))

    def holds(self, number: int) -> bool:
        """Whether a number of a stream is a slot."""
        return bool(self.counts) and number >= self.first


NO_SLOTS = LinkSlots()


@dataclass(frozen=True)
class MediaSpan:
    """Placeholders of one part: per picture its tile count and the words before it; frames stand on lines.

    sound: the tokens of a sound, which has no tiles. visual: the tokens of each picture, where its tiles do
    not have the usual number each.
    """

    tiles: tuple[int, ...]
    labels: tuple[str, ...] = ("",)
    sound: int = 0
    visual: tuple[int, ...] | None = None

    def tokens(self, per_tile: int) -> int:
        """Placeholders in all."""
        visual = per_tile * sum(self.tiles) if self.visual is None else sum(self.visual)
        return visual + self.sound

    @classmethod
    def of_sound(cls, tokens: int) -> MediaSpan:
        """The placeholders of a sound."""
        return cls((), (), tokens)


def with_tokens(spans: Iterable[MediaSpan], each: Iterable[int]) -> list[MediaSpan]:
    """The same with the tokens of each tile, in order, that a look at it gave."""
    left = iter(each)
    return [replace(span, visual=tuple(sum(islice(left, tiles)) for tiles in span.tiles)) for span in spans]
