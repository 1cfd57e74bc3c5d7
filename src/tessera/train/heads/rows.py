"""Features of pictures that are computed once, and kept in a file with which a killed run goes on."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.imaging.crops import random_crop
from tessera.imaging.squares import to_square
from tessera.models.heads.probe import ProbeKind, pooled
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed
from tessera.train.heads.labelled import ClassPictures

KEPT_EVERY = 256
"""Rows between two notes of how far a file is."""


class Rows:
    """What a probe reads of pictures: their middle, mirrored or not, or parts drawn anew for every epoch."""

    def __init__(self, encoder: VisionEncoder, kind: ProbeKind, side: int) -> None:
        self.encoder, self.kind, self.side = encoder, kind, side

    def kept(
        self,
        pictures: ClassPictures,
        folder: Path | None,
        part: str,
        progress: Progress,
        mirrored: bool = False,
    ) -> torch.Tensor:
        """One row a picture, of its middle: [N, 2 D] float32, or all tokens [N, 1 + P, D].

        In a folder, rows stay on the disk and are read when used; those of an earlier run are taken over.
        `part` names them: learned or held-out.
        """
        shape, dtype = self._form()
        what = f"{part} features{', mirrored' if mirrored else ''}"
        file = (
            None if folder is None else folder / f"{self.kind}_{part}{'_mirrored' if mirrored else ''}.rows"
        )
        said = [self.encoder.fingerprint, self.kind, self.side, mirrored, pictures.identity, list(shape)]
        key = hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()
        table, done = _opened(file, key, (len(pictures), *shape), dtype)
        noted = done
        for rows in self.of(self._middles(pictures, done, mirrored)):
            table[done : done + len(rows)] = rows
            done += len(rows)
            progress(what, done, len(pictures))
            if file is not None and (done - noted >= KEPT_EVERY or done == len(pictures)):
                noted = done
                _note(file, key, done)
        return table

    def drawn(self, pictures: ClassPictures, places: Sequence[int], seed: int) -> torch.Tensor:
        """Rows of parts of some pictures, drawn by seed and place."""

        def parts() -> Iterator[np.ndarray]:
            for place in places:
                yield np.asarray(random_crop(pictures[place], self.side, Random(derive_seed(seed, place))))

        return torch.cat(list(self.of(parts())))

    def of(self, squares: Iterator[np.ndarray]) -> Iterator[torch.Tensor]:
        """Rows of uint8 squares, some at a time."""
        for found in self.encoder.stream(squares, size=(self.side, self.side)):
            state = found.last_hidden_state
            yield pooled(state.float()) if self.kind == "linear" else state

    def _middles(self, pictures: ClassPictures, first: int, mirrored: bool) -> Iterator[np.ndarray]:
        for place in range(first, len(pictures)):
            square = to_square(pictures[place], self.side, "crop")
            yield np.ascontiguousarray(square[:, ::-1]) if mirrored else square

    def _form(self) -> tuple[tuple[int, ...], torch.dtype]:
        vision = self.encoder.config
        if self.kind == "linear":
            return (2 * vision.hidden_size,), torch.float32
        return (1 + (self.side // vision.patch_size) ** 2, vision.hidden_size), self.encoder.dtype


def _opened(
    file: Path | None, key: str, shape: tuple[int, ...], dtype: torch.dtype
) -> tuple[torch.Tensor, int]:
    """A table in memory or in a file, and how many of its rows are there."""
    if file is None:
        return torch.empty(shape, dtype=dtype), 0
    with disk_faults(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        done = _noted(file, key)
        numbers = math.prod(shape)
        if not done:
            for old in (_notes(file), file):  # whoever reads the old rows keeps them
                old.unlink(missing_ok=True)
            with file.open("wb") as stream:
                stream.truncate(numbers * dtype.itemsize)
        table = torch.from_file(str(file), shared=True, size=numbers, dtype=dtype)
    return table.view(shape), done


def _notes(file: Path) -> Path:
    return file.with_suffix(".json")


def _note(file: Path, key: str, done: int) -> None:
    with disk_faults(file), atomic_write(_notes(file)) as stream:
        stream.write(json.dumps({"key": key, "done": done}).encode())


def _noted(file: Path, key: str) -> int:
    """Rows of this key that a file has; none where it is another's, or not there."""
    try:
        said = json.loads(_notes(file).read_bytes())
        return int(said["done"]) if said["key"] == key and file.is_file() else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


Batch = Callable[[Sequence[int], int], torch.Tensor]
"""Rows of some pictures in an epoch."""
