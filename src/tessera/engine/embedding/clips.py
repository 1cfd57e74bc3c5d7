"""A clip as one row: the mean of its frames', as video retrieval was published (docs/facts/embedding.md)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from tessera.chat.message import PictureSource
from tessera.engine.embedding.embedder import Embedder
from tessera.imaging.clips.container import VideoSource
from tessera.imaging.frames import spread_frames
from tessera.imaging.video import probe_video, read_frames

FRAMES = 8
"""Frames of a clip: 1 or 8 were published."""


def embed_clip(embedder: Embedder, clip: VideoSource, frames: int = FRAMES, mode: str = "c") -> Tensor:
    """A unit row float32 [W]. Raises ValueError for a clip that cannot be read."""
    info = probe_video(clip)
    return embed_frames(embedder, read_frames(clip, spread_frames(info.frames, frames)), mode)


def embed_frames(embedder: Embedder, frames: Sequence[PictureSource], mode: str = "c") -> Tensor:
    """A unit row float32 [W] of frames: the mean of their rows as the heads give them."""
    rows = embedder.embed_images(frames, mode, fit="crop", unit=False)
    return F.normalize(rows.mean(dim=0), dim=-1)
