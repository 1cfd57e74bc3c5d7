"""A picture twice as wide and high, as MMMU's first picture is asked about."""

from __future__ import annotations

import hashlib
from pathlib import Path

import PIL.Image

from tessera.imaging.decode import decode_image
from tessera.runtime.atomic import atomic_write


def enlarged(picture: Path, store: Path) -> Path:
    """The file of the enlarged picture (bilinear, PNG) below `store`; made once for the same bytes."""
    name = hashlib.sha256(picture.read_bytes()).hexdigest()[:32]
    made = store / f"{name}_x2.png"
    if not made.is_file():
        store.mkdir(parents=True, exist_ok=True)
        given = decode_image(picture)
        drawn = given.resize((given.width * 2, given.height * 2), PIL.Image.Resampling.BILINEAR)
        with atomic_write(made) as stream:
            drawn.save(stream, format="PNG")
    return made
