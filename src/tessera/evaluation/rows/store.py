"""Pictures that stood in rows, as files named by what is in them: the same picture is written once."""

import hashlib
import io
import os
import threading
from pathlib import Path

from tessera.imaging.decode import decode_image, open_lazily
from tessera.runtime.atomic import atomic_write

ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}
USUAL = ("png", "jpg", "webp")
"""Endings that are looked for first."""
LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


class PictureStore:
    """A folder of pictures; several processes may write the same ones at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes) -> Path:
        """The file of an encoded picture, its bytes unchanged.

        ValueError for what is no picture, or is beyond the limits; pixels are not decoded.
        """
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        if (known := self._known(digest)) is not None:
            return known
        with open_lazily(data) as image:
            kind = image.format or "PNG"
        return self._write(digest, ENDINGS.get(kind, kind.lower()), data)

    def keep_encoded(self, data: bytes, name: str) -> Path:
        """The file of a picture as a kit leaves it that saves it under `name`: .jpg and .webp lose once more.

        Other names keep every pixel, so the bytes stay as they are. ValueError as in `keep`, and for pixels
        that can't be decoded.
        """
        kind = LOSSY.get(os.path.splitext(name)[1].lower())
        if kind is None:
            return self.keep(data)
        digest = hashlib.blake2b(data, digest_size=16, person=kind.encode()).hexdigest()
        if (known := self._known(digest)) is not None:
            return known
        written, picture = io.BytesIO(), decode_image(data)
        with open_lazily(data) as stored:
            # That kit makes RGB of transparent and indexed pictures alone.
            (stored if stored.mode == "CMYK" else picture).save(written, format=kind)
        return self._write(digest, ENDINGS.get(kind, kind.lower()), written.getvalue())

    def holds(self, file: Path) -> bool:
        """Whether a file is one of this store."""
        return file.is_relative_to(self._folder)

    def _known(self, digest: str) -> Path | None:
        place = self._place(digest)
        for ending in USUAL:  # a pattern takes ten times as long
            if os.path.isfile(file := f"{place}/{digest}.{ending}"):
                return Path(file)
        return next(iter(place.glob(f"{digest}.*")), None)

    def _place(self, digest: str) -> Path:
        return self._folder / digest[:2]

    def _write(self, digest: str, ending: str, data: bytes) -> Path:
        """The file under its final name, whole from the begin on."""
        folder = self._place(digest)
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f".{digest}.{os.getpid()}.{threading.get_ident()}"
        with atomic_write(own) as stream:
            stream.write(data)
        target = folder / f"{digest}.{ending}"
        own.replace(target)
        return target
