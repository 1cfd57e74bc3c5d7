"""Visual features of tiles, kept by content: the same picture goes through the ViT once."""

from collections import OrderedDict
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch


def tile_digests(tiles: npt.NDArray[np.uint8]) -> tuple[bytes, ...]:
    """A digest of each tile uint8 [N, S, S, 3]."""
    return tuple(blake2b(np.ascontiguousarray(tile).data, digest_size=32).digest() for tile in tiles)


class PictureCache:
    """Features [tokens, D] by digest of their tile, at most `most_bytes`; used longest ago goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.held_bytes, self.hits, self.misses = most_bytes, 0, 0, 0
        self._features: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._features

    def find(self, digest: bytes) -> torch.Tensor | None:
        """The features of a tile seen before; counted as a hit or a miss."""
        features = self._features.get(digest)
        if features is None:
            self.misses += 1
            return None
        self.hits += 1
        self._features.move_to_end(digest)
        return features

    def keep(self, digest: bytes, features: torch.Tensor) -> None:
        """Keep features of a tile that was not there, if they fit at all."""
        size = features.nbytes
        if size > self.most_bytes or digest in self:
            return
        while self.held_bytes + size > self.most_bytes:
            self.held_bytes -= self._features.popitem(last=False)[1].nbytes
        self._features[digest] = features
        self.held_bytes += size
