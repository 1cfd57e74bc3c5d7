"""From a draw to a sample: read the record, augment its pictures, encode it, weigh its tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tessera.chat import encoder as chat_encoder
from tessera.chat.message import Conversation, Image, Message, Part
from tessera.data.faults import DataError, Reason, RecordFault
from tessera.data.mix import Draw
from tessera.data.pack import Sample
from tessera.data.source import Source, WeightedSource, sample_key
from tessera.data.weights import Averaging, weigh_tokens
from tessera.imaging.augment import jpeg_augment
from tessera.imaging.decode import decode_image
from tessera.runtime.seeds import derive_seed


class SampleEncoder(Protocol):
    """What `data` needs of `chat.encoder.Encoder`."""

    def measure(self, conversation: Conversation) -> chat_encoder.Lengths:
        """Token and tile counts from picture headers."""

    def encode(self, conversation: Conversation) -> chat_encoder.Encoded:
        """Ids, weights and tiles."""


class Limits(Protocol):
    """The capacity of a pack."""

    max_tokens: int
    max_tiles: int


@dataclass(frozen=True)
class Encoded:
    """The outcome of a draw: a sample, or the faults that prevented it."""

    draw: Draw
    sample: Sample | None
    faults: tuple[RecordFault, ...] = ()


class DrawEncoder:
    """Turns draws into samples; picklable, and a pure function of the draw."""

    def __init__(
        self,
        sources: Sequence[WeightedSource],
        encoder: SampleEncoder,
        averaging: Averaging,
        augment: bool,
        seed: int,
    ) -> None:
        self._sources = tuple(sources)
        self._encoder = encoder
        self._averaging: Averaging = averaging
        self._augment = augment
        self._seed = seed

    def __call__(self, draw: Draw) -> Encoded:
        """Encode one draw; faults of the record come back as values."""
        entry = self._sources[draw.source]
        try:
            conversation = entry.source.conversation(draw.index)
            if self._augment and entry.augment:
                seed = derive_seed("augment", self._seed, entry.source.name, draw.visit)
                conversation = augment_pictures(conversation, random.Random(seed))
            encoded = self._encoder.encode(conversation)
        except DataError as error:
            return Encoded(draw, None, error.faults)
        except (ValueError, OSError) as error:
            return Encoded(draw, None, (_fault(entry.source, draw.index, Reason.UNUSABLE, str(error)),))
        weights = weigh_tokens(encoded.weights, self._averaging)
        key = sample_key(entry.source, draw.index)
        return Encoded(draw, Sample(key, encoded.ids, weights, encoded.tiles))

    def too_long(self, draw: Draw, sample: Sample, limits: Limits) -> RecordFault:
        """The fault of a sample that no pack can hold."""
        tokens = f"{sample.tokens} of {limits.max_tokens} tokens"
        detail = f"{tokens}, {sample.tile_count} of {limits.max_tiles} tiles"
        return _fault(self._sources[draw.source].source, draw.index, Reason.TOO_LONG, detail)


def augment_pictures(conversation: Conversation, rng: random.Random) -> Conversation:
    """Every picture re-encoded once as JPEG of random quality (facts 3.4); clips stay as they are."""
    return Conversation(tuple(_augment_message(message, rng) for message in conversation.messages))


def _augment_message(message: Message, rng: random.Random) -> Message:
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, Image):
            part = replace(part, source=jpeg_augment(decode_image(part.source), rng))
        parts.append(part)
    return replace(message, parts=tuple(parts))


def _fault(source: Source, index: int, reason: Reason, detail: str) -> RecordFault:
    file, line = source.place(index)
    return RecordFault(file, line, "record", reason, detail)
