"""Pictures with captions, and regions with the phrases that name them, for the contrastive start."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tessera.chat.message import Image
from tessera.chat.tokenizer import Tokenizer
from tessera.imaging.decode import decode_image
from tessera.playground.parts import Region, Scene
from tessera.playground.scene import draw_scene
from tessera.records.manifest import PlaygroundSource
from tessera.runtime.seeds import derive_seed
from tessera.runtime.workers import map_in_workers
from tessera.train.parallel.ranks import ALONE, Ranks

PREFETCH = 2
"""Batches that each worker prepares ahead."""


@dataclass(frozen=True)
class PairBatch:
    """Pictures beside texts, texts laid end to end without padding; its number among the batches of a stage.

    tiles uint8 [N, S, S, 3]; caption_ids int64 [T] of N captions; caption_match bool [N, N]; region_owner
    int64 [R] picture of each region; region_cover float32 [R, P] share of each patch; phrase_ids of B
    distinct phrases; region_match bool [R, B].
    """

    number: int
    tiles: torch.Tensor
    caption_ids: torch.Tensor
    caption_lengths: tuple[int, ...]
    caption_match: torch.Tensor
    region_owner: torch.Tensor
    region_cover: torch.Tensor
    phrase_ids: torch.Tensor
    phrase_lengths: tuple[int, ...]
    region_match: torch.Tensor


@dataclass(frozen=True)
class PairMaker:
    """Batches of drawn pictures, each a pure function of its number."""

    sources: tuple[PlaygroundSource, ...]
    tokenizer: Tokenizer
    pictures: int
    """In a batch."""
    tile_side: int
    grid: int
    """Patches along one side of a tile."""
    seed: int

    def __call__(self, number: int) -> PairBatch:
        """The batch of a number."""
        scenes = [self.scene(number * self.pictures + i) for i in range(self.pictures)]
        captions = [scene.caption for scene in scenes]
        regions = [(i, region) for i, scene in enumerate(scenes) for region in scene.regions]
        phrases = sorted({region.phrase for _, region in regions})
        caption_ids, caption_lengths = self._texts(captions)
        phrase_ids, phrase_lengths = self._texts(phrases)
        return PairBatch(
            number=number,
            tiles=torch.from_numpy(np.stack([self._pixels(scene) for scene in scenes])),
            caption_ids=caption_ids,
            caption_lengths=caption_lengths,
            caption_match=_equal(captions, captions),
            region_owner=torch.tensor([i for i, _ in regions]),
            region_cover=torch.from_numpy(np.stack([patch_cover(r, self.grid) for _, r in regions])),
            phrase_ids=phrase_ids,
            phrase_lengths=phrase_lengths,
            region_match=_equal([region.phrase for _, region in regions], phrases),
        )

    def scene(self, index: int) -> Scene:
        """The picture of a number, counted over all batches."""
        rng = Random(derive_seed("pairs", self.seed, index))
        source = rng.choices(self.sources, [s.weight for s in self.sources])[0]
        suite = rng.choices(list(source.suites), list(source.suites.values()))[0]
        level = rng.choices(list(source.levels), list(source.levels.values()))[0]
        return draw_scene(suite, derive_seed("pairs", self.seed, index, "scene"), level=level)

    def _pixels(self, scene: Scene) -> NDArray[np.uint8]:
        (part,) = scene.media
        assert isinstance(part, Image)  # `shows_one_picture` was asked before the start
        return np.asarray(
            decode_image(part.source, reading=part.reading).resize((self.tile_side, self.tile_side))
        )

    def _texts(self, texts: Sequence[str]) -> tuple[torch.Tensor, tuple[int, ...]]:
        encoded = [self.tokenizer.encode(text) for text in texts]
        return torch.tensor([i for ids in encoded for i in ids]), tuple(map(len, encoded))


def shows_one_picture(suite: str) -> bool:
    """Whether scenes of a suite can be half of a pair."""
    media = draw_scene(suite, 0).media
    return len(media) == 1 and isinstance(media[0], Image)


class PairLoader:
    """An endless iterator of a rank's batches, each made of its number."""

    def __init__(
        self, maker: Callable[[int], Any], workers: int = 0, ranks: Ranks = ALONE, batches_per_step: int = 1
    ) -> None:
        if batches_per_step % ranks.world:
            raise ValueError(
                f"accumulate = {batches_per_step} batches a step can't be shared by {ranks.world} processes: "
                f"make it a multiple of {ranks.world}"
            )
        self.maker, self.workers, self.ranks = maker, workers, ranks
        self.per_rank = batches_per_step // ranks.world
        self.stats = SimpleNamespace(
            token_fill=1.0, tile_fill=1.0, seen={}
        )  # nothing to fill: the fills are whole
        self.keys: tuple[str, ...] = ()  # drawn, never in files
        self._next = 0
        self._stream: Iterator[Any] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._stream is None:
            numbers = range(self._next + self.ranks.rank, 2**31, self.ranks.world)
            self._stream = map_in_workers(self.maker, numbers, self.workers, PREFETCH)
        batch = next(self._stream)
        self._next += self.ranks.world
        return batch

    def next_step(self) -> list[Any]:
        """This rank's batches of the next step."""
        return [next(self) for _ in range(self.per_rank)]

    def state_dict(self) -> dict[str, Any]:
        """The number of the next batch."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, Any], changed_data: bool = False) -> None:
        """Go on with the batch of that number; drawn pictures don't change."""
        self._next, self._stream = int(state["next"]), None

    def close(self) -> None:
        """Stop workers."""
        self._stream = None


def _equal(left: Sequence[str], right: Sequence[str]) -> torch.Tensor:
    return torch.from_numpy(np.array(left)[:, None] == np.array(right)[None, :])


def patch_cover(region: Region, grid: int) -> NDArray[np.float32]:
    """Share of a region in each patch of a grid x grid tile: float32 [grid * grid], summing to 1."""
    edges = np.arange(grid + 1) / grid
    x0, y0, x1, y1 = region.box
    across = np.clip(np.minimum(edges[1:], x1) - np.maximum(edges[:-1], x0), 0, None)
    down = np.clip(np.minimum(edges[1:], y1) - np.maximum(edges[:-1], y0), 0, None)
    cover = np.outer(down, across).ravel()
    if not cover.sum():
        raise ValueError(f"region {region.phrase!r}: box {region.box} covers nothing; give 0 <= x0 < x1 <= 1")
    return (cover / cover.sum()).astype(np.float32)
