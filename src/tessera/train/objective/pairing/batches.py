"""Batches of pictures and texts, each a pure function of its number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch

from tessera.families.pair_texts import PairTexts
from tessera.imaging.decode import decode_image
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.pairing.crops import Crops
from tessera.train.objective.pairing.samples import PairStream, PictureText

TRIES = 1000
"""Draws for a caption of another picture, before the data is taken to show one picture alone."""


@dataclass(frozen=True)
class TextRows:
    """Texts laid end to end: ids int64 [T], and the tokens of each."""

    ids: torch.Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, texts: Iterable[list[int]]) -> TextRows:
        """Of lists of ids."""
        every = list(texts)
        return cls(torch.tensor([i for ids in every for i in ids]), tuple(map(len, every)))


@dataclass(frozen=True)
class TextPairBatch:
    """N pictures with their texts; `number` among the batches of a stage.

    tiles uint8 [N, S, S, 3]. kept int64 [N, K]: patches that the ViT sees, None for all. image_ids int64 [N]:
    equal where captions fit each other's pictures. contrast, matching, caption: the caption in the three
    forms; other: captions of other pictures, for matching. prompt: tokens of `caption` that ask.
    """

    number: int
    tiles: torch.Tensor
    kept: torch.Tensor | None
    image_ids: torch.Tensor
    contrast: TextRows
    matching: TextRows | None = None
    other: TextRows | None = None
    caption: TextRows | None = None
    prompt: int = 0
    empty: tuple[int, int] = (0, 0)
    """Tokens of a text without a word, in `contrast` and in `matching`: such texts don't count there."""

    @property
    def size(self) -> int:
        """N."""
        return len(self.tiles)


@dataclass(frozen=True)
class TextPairMaker:
    """Makes them. `tasks`: whether texts for matching and captions are wanted beside those for contrast."""

    stream: PairStream
    texts: PairTexts
    pictures: int
    side: int
    patch: int
    crops: Crops
    masked: float = 0.0
    tasks: bool = False

    def __call__(self, number: int) -> TextPairBatch:
        """The batch of a number. What is random in it follows from the number of each picture alone."""
        places = range(number * self.pictures, (number + 1) * self.pictures)
        pairs = [self.stream[place] for place in places]
        draws = [Random(derive_seed("picture", self.stream.seed, place)) for place in places]
        squares = [self._pixels(*each) for each in zip(pairs, draws, strict=True)]
        batch = TextPairBatch(
            number=number,
            tiles=torch.from_numpy(np.stack(squares)),
            kept=torch.tensor([self._kept(rng) for rng in draws]) if self.masked else None,
            image_ids=torch.tensor([derive_seed("image", pair.image_id) % 2**62 for pair in pairs]),
            contrast=TextRows.of(self.texts.contrast(pair.caption) for pair in pairs),
            empty=(len(self.texts.contrast("")), len(self.texts.matching(""))),
        )
        return self._with_tasks(batch, pairs, draws) if self.tasks else batch

    def _with_tasks(
        self, batch: TextPairBatch, pairs: list[PictureText], draws: list[Random]
    ) -> TextPairBatch:
        others = [self._other(*each) for each in zip(pairs, draws, strict=True)]
        captions = [self.texts.caption(pair.caption) for pair in pairs]
        return replace(
            batch,
            matching=TextRows.of(self.texts.matching(pair.caption) for pair in pairs),
            other=TextRows.of(self.texts.matching(caption) for caption in others),
            caption=TextRows.of(caption.ids for caption in captions),
            prompt=captions[0].prompt,
        )

    def _pixels(self, pair: PictureText, rng: Random) -> np.ndarray:
        return self.crops.square(decode_image(pair.image, reading=pair.reading), self.side, rng)

    def _kept(self, rng: Random) -> list[int]:
        """Which patches of a picture are seen, in order."""
        patches = (self.side // self.patch) ** 2
        return sorted(rng.sample(range(patches), max(1, round(patches * (1 - self.masked)))))

    def _other(self, pair: PictureText, rng: Random) -> str:
        """The caption of a picture with another `image_id`, uniformly drawn."""
        for _ in range(TRIES):
            other = self.stream.any(rng)
            if other.image_id != pair.image_id:
                return other.caption
        raise ValueError(
            f"image_id: {TRIES} draws gave no picture but {pair.image_id!r}: matching needs captions of "
            "others"
        )
