"""The one augmentation of the published recipes: a JPEG re-encode before the tiles are cut
(docs/facts/imaging.md)."""

import io
import random

import PIL.Image

WORST_QUALITY, BEST_QUALITY = 75, 100


def jpeg_augment(image: PIL.Image.Image, rng: random.Random) -> PIL.Image.Image:
    """The RGB picture after one JPEG round trip, quality uniform over the integers 75 to 100 inclusive."""
    quality = rng.randint(WORST_QUALITY, BEST_QUALITY)
    with io.BytesIO() as buffer:
        rgb = image if image.mode == "RGB" else image.convert("RGB")  # convert() would copy for nothing
        rgb.save(buffer, format="JPEG", quality=quality)
        buffer.seek(0)
        with PIL.Image.open(buffer, formats=("JPEG",)) as degraded:
            degraded.load()
        return degraded
