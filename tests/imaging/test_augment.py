"""The JPEG round trip: seeded, and by the quality it drew."""

from __future__ import annotations

import io
import random

import numpy as np
import PIL.Image

from tessera.imaging.augment import jpeg_augment


def test_quality_is_uniform_from_75_to_100_and_seeded() -> None:
    values = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(values)
    seen = set()
    for seed in range(200):
        quality = random.Random(seed).randint(75, 100)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        wanted = PIL.Image.open(buffer).convert("RGB")
        augmented = jpeg_augment(image, random.Random(seed))
        assert augmented.tobytes() == wanted.tobytes()
        seen.add(quality)
    assert seen == set(range(75, 101))
    assert augmented.size == image.size
