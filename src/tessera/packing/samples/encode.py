"""From a draw to a sample: read the record, draw frames, augment pictures, encode, weigh tokens."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tessera.chat import encoder as chat_encoder
from tessera.chat.message import Conversation, Image, Part
from tessera.chat.positions import branched_positions, draw_increments
from tessera.imaging.augment import jpeg_augment
from tessera.imaging.decode import decode_image
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.packing.mix import Draw
from tessera.packing.pack import Sample
from tessera.packing.samples.clips import draw_clips, pick_frames
from tessera.packing.samples.document import DocumentEncoder
from tessera.packing.samples.overlong import WHOLE, Cut, Sizing
from tessera.packing.samples.weights import Averaging, weigh_tokens
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.source import WeightedSource, sample_key
from tessera.runtime.seeds import derive_seed


class SampleEncoder(Sizing, Protocol):
    """What packing needs of `chat.encoder.Encoder`."""

    @property
    def pictures(self) -> PictureReading:
        """How picture files become RGB where a part does not say."""

    @property
    def context_id(self) -> int:
        """Id of the visual placeholder."""

    def describe(self) -> Mapping[str, Any]:
        """Every setting that changes the lengths."""

    def measure(self, conversation: Conversation) -> chat_encoder.Lengths:
        """Token and tile counts from picture headers."""

    def encode(self, conversation: Conversation) -> chat_encoder.Encoded:
        """Ids, weights and tiles."""


def encoder_of(entry: WeightedSource, encoder: SampleEncoder) -> SampleEncoder:
    """The encoder as a source needs it: documents are written without roles. ValueError when it can't be."""
    if not entry.document:
        return encoder
    if not isinstance(encoder, chat_encoder.Encoder):
        raise ValueError(f"{entry.source.name}: documents need a chat.encoder.Encoder; set document to False")
    return DocumentEncoder.of(encoder)


class DrawEncoder:
    """Turns draws into conversations and samples; picklable, and a pure function of the draw.

    The tokens of several answers to one prompt weigh 1 whatever the averaging: their losses go by the answer.
    """

    def __init__(
        self,
        sources: Sequence[WeightedSource],
        encoder: SampleEncoder,
        averaging: Averaging = "token",
        augment: bool = False,
        seed: int = 0,
        v2pe: float | Literal["random"] | None = None,
    ) -> None:
        self.sources, self.seed = tuple(sources), seed
        self._encoders = tuple(encoder_of(entry, encoder) for entry in sources)
        self._averaging: Averaging = averaging
        self._augment, self._v2pe = augment, v2pe

    def encoder(self, draw: Draw) -> SampleEncoder:
        """The encoder of the draw's source."""
        return self._encoders[draw.source]

    def conversation(self, draw: Draw) -> Conversation:
        """The whole record with the frame numbers of this visit. DataError when it is faulty."""
        entry = self.sources[draw.source]
        return draw_clips(entry.source.conversation(draw.index), entry, self.seed, draw.visit)

    def sample(self, draw: Draw, cut: Cut = WHOLE) -> Sample:
        """Encode one draw. DataError when the record is faulty."""
        entry = self.sources[draw.source]
        with self.blamed(draw):
            conversation = cut.apply(self.conversation(draw), self.encoder(draw))
            if self._augment and entry.augment:
                seed = derive_seed("augment", self.seed, entry.source.name, draw.visit)
                reading = self.encoder(draw).pictures
                conversation = augment_pictures(conversation, random.Random(seed), reading)
            encoded = self.encoder(draw).encode(pick_frames(conversation))
        weights = weigh_tokens(encoded.weights, "token" if encoded.branches else self._averaging)
        key, positions = sample_key(entry.source, draw.index), self._positions(draw, cut, encoded)
        tiles, branches = encoded.tiles, encoded.branches
        return Sample(key, encoded.ids, weights, tiles, positions, branches, encoded.sounds)

    def _positions(self, draw: Draw, cut: Cut, encoded: chat_encoder.Encoded) -> NDArray[np.float32] | None:
        """float32 [T], drawn anew in every visit where increments are random; None for the usual ones."""
        if self._v2pe is None:
            return None
        context, ids = self.encoder(draw).context_id, encoded.ids
        increments: float | list[float]
        if self._v2pe == "random":
            name = self.sources[draw.source].source.name
            seed = derive_seed("v2pe", self.seed, name, draw.visit, cut.first)
            increments = draw_increments(ids, context, random.Random(seed))
        else:
            increments = self._v2pe
        return branched_positions(ids, encoded.branches, context, increments)

    @contextmanager
    def blamed(self, draw: Draw) -> Iterator[None]:
        """What goes wrong inside is a fault of the draw's record: DataError."""
        try:
            yield
        except DataError:
            raise
        except (ValueError, OSError) as error:
            raise self.fault(draw, Reason.UNUSABLE, str(error)) from error

    def fault(self, draw: Draw, reason: Reason, detail: str) -> DataError:
        """A fault of the whole record, with its place, as an error."""
        file, line = self.sources[draw.source].source.place(draw.index)
        return DataError([RecordFault(file, line, "record", reason, detail)])


def augment_pictures(
    conversation: Conversation, rng: random.Random, reading: PictureReading = PUBLISHED
) -> Conversation:
    """Every picture re-encoded once as JPEG of random quality (docs/facts/imaging.md); clips stay as they
    are. reading: how files become RGB where a part does not say."""

    def augment(part: Part) -> Part:
        if not isinstance(part, Image):
            return part
        sources = (part.source, *part.joined)
        first, *rest = (jpeg_augment(decode_image(s, reading=part.reading or reading), rng) for s in sources)
        return replace(part, source=first, joined=tuple(rest), reading=PUBLISHED)

    return conversation.map_parts(augment)
