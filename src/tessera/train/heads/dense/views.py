"""What a dense head learns from and what it is asked: pictures resized, cut, mirrored and changed in colour
(docs/facts/backbone.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import PIL.Image
import torch
from pydantic import Field, PositiveFloat
from torch.nn import functional as F

from tessera.models.vlm import normalise
from tessera.runtime.config import Config
from tessera.scoring.dense.overlap import IGNORED
from tessera.train.heads.dense.masked import Labels

Floats = np.ndarray[Any, np.dtype[np.float32]]
TRIES = 10


class ViewConfig(Config):
    """Sizes and changes of training views; the defaults are published."""

    crop: int = Field(default=504, gt=0)
    """Side of what is learned from, and the short side of a picture that is asked."""
    longest: int = Field(default=2016, gt=0)
    """Long side that a picture has at most, before the ratio."""
    ratios: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    largest_class: float = 0.75
    """Share of a crop that one class may have; after ten draws the next is taken. 1 takes the first."""
    mirror: float = 0.5
    distort: bool = True
    """Whether brightness, contrast, saturation and hue change."""


@dataclass(frozen=True)
class DenseView:
    """A part of a picture, uint8 [h, w, 3], and its labels uint8 [h, w]."""

    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    labels: Labels


def training_view(image: PIL.Image.Image, labels: Labels, config: ViewConfig, rng: Random) -> DenseView:
    """A resized, cut, mirrored and changed picture; at most `crop` x `crop`, smaller where it is."""
    ratio = rng.uniform(*config.ratios)
    size = rescaled((image.width, image.height), config.crop * ratio, config.longest * ratio)
    resized = np.array(image.resize(size, PIL.Image.Resampling.BILINEAR))
    wanted = np.array(PIL.Image.fromarray(labels).resize(size, PIL.Image.Resampling.NEAREST))
    top, left = _place(wanted, config, rng)
    side = config.crop
    part, wanted = resized[top : top + side, left : left + side], wanted[top : top + side, left : left + side]
    if rng.random() < config.mirror:
        part, wanted = part[:, ::-1], wanted[:, ::-1]
    changed = distorted(part, rng) if config.distort else part
    return DenseView(np.ascontiguousarray(changed), np.ascontiguousarray(wanted))


def asked_size(size: tuple[int, int], config: ViewConfig, patch: int) -> tuple[int, int]:
    """Width and height of a picture that is asked: short side `crop`, sides up to whole patches."""
    short = config.crop / min(size)
    width, height = (math.ceil(int(side * short + 0.5) / patch) * patch for side in size)
    return width, height


def rescaled(size: tuple[int, int], short: float, long: float) -> tuple[int, int]:
    """Width and height by one factor, the largest whose sides are at most `short` and `long`."""
    factor = min(short / min(size), long / max(size))
    width, height = (max(1, int(side * factor + 0.5)) for side in size)
    return width, height


def as_batch(
    views: Sequence[DenseView], side: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised pixels float32 [N, 3, S, S], filled up with 0, and labels int64 [N, S, S], with 255."""
    pixels, labels = [], []
    for view in views:
        height, width = view.labels.shape
        edges = (0, side - width, 0, side - height)
        one = normalise(torch.from_numpy(view.pixels)[None], mean, std, torch.float32)
        pixels.append(F.pad(one[0], edges))
        labels.append(F.pad(torch.from_numpy(view.labels).long(), edges, value=IGNORED))
    return torch.stack(pixels), torch.stack(labels)


def _place(labels: Labels, config: ViewConfig, rng: Random) -> tuple[int, int]:
    """Top and left of a crop in which no class has too much, if one is found."""
    lowest, rightmost = (max(length - config.crop, 0) for length in labels.shape)
    top, left = rng.randint(0, lowest), rng.randint(0, rightmost)
    for _ in range(TRIES if config.largest_class < 1 else 0):
        part = labels[top : top + config.crop, left : left + config.crop]
        counts = np.bincount(part[part != IGNORED].ravel())
        held = counts[counts > 0]
        if len(held) > 1 and held.max() / held.sum() < config.largest_class:
            break
        top, left = rng.randint(0, lowest), rng.randint(0, rightmost)
    return top, left


def distorted(pixels: np.ndarray[Any, Any], rng: Random) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Brightness, contrast, saturation and hue, each changed half of the time; contrast comes second or
    last: mmseg's PhotoMetricDistortion."""
    if rng.random() < 0.5:
        pixels = _linear(pixels, 1.0, rng.uniform(-32, 32))
    early = rng.random() < 0.5
    if early and rng.random() < 0.5:
        pixels = _linear(pixels, rng.uniform(0.5, 1.5), 0.0)
    if rng.random() < 0.5:
        pixels = _coloured(pixels, rng.uniform(0.5, 1.5), 0)
    if rng.random() < 0.5:
        pixels = _coloured(pixels, 1.0, rng.randint(-18, 18))
    if not early and rng.random() < 0.5:
        pixels = _linear(pixels, rng.uniform(0.5, 1.5), 0.0)
    return pixels


def _linear(pixels: np.ndarray[Any, Any], factor: float, more: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.clip(pixels.astype(np.float32) * factor + more, 0, 255).astype(np.uint8)


def _coloured(
    pixels: np.ndarray[Any, Any], saturation: float, degrees: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Saturation times a factor, hue turned by twice `degrees` (OpenCV's circle has 180)."""
    hue, full, value = PIL.Image.fromarray(np.ascontiguousarray(pixels)).convert("HSV").split()
    turned = np.asarray(hue).astype(np.int32) + round(degrees * 256 / 180)
    channels = (turned % 256, _linear(np.asarray(full), saturation, 0.0), np.asarray(value))
    merged = PIL.Image.merge("HSV", [PIL.Image.fromarray(one.astype(np.uint8)) for one in channels])
    return np.array(merged.convert("RGB"))
