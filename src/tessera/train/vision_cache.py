"""States of a frozen ViT on the disk: computed once per tile, read in every later epoch and stage.

Where the weights of the ViT are shared out, all processes compute as many tiles as the one that lacks most.
A folder per ViT, preprocessing, dtype and device holds a folder per process with `states.bin`, a row a tile,
and `tiles.bin`, the digest of each. Rows are on the disk before their digests are written, so a crash leaves
rows without digest, which the next writer overwrites.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.records.source import WeightedSource
from tessera.runtime.disk import disk_faults
from tessera.runtime.locks import FolderLock
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import ALONE, Ranks, largest
from tessera.train.parallel.shard import weights_digest
from tessera.train.recipe import Stage
from tessera.train.update.rules import decides

DIGEST = 16
"""Bytes of a tile's name."""


class VisionCache:
    """A ViT's states by the content of tiles; what is missing is computed and, up to `most` bytes, kept.

    `together`: processes that share out the weights, and so look at a tile together. ValueError when another
    process writes this folder, or the disk refuses.
    """

    def __init__(self, folder: Path, model: VLM, most: int, rank: int = 0, together: Ranks = ALONE) -> None:
        self._model, self._most, self._together = model, most, together
        self.found = self.computed = 0
        """Tiles that were read, and tiles that went through the ViT."""
        home = folder / _identity(model)
        own = home / f"process{rank}"
        self._lock = FolderLock(own)
        self._places: dict[bytes, tuple[int, int]] = {}
        """File and row of each tile."""
        self._files: list[int] = []
        self._row = _row_shape(model)
        self._dtype = next(model.vision.parameters()).dtype
        self._bytes = self._row.numel() * self._dtype.itemsize
        with disk_faults(own):
            self._used = sum(map(self._read, [own, *(f for f in sorted(home.iterdir()) if f != own)]))
            self._names = os.open(own / "tiles.bin", os.O_RDWR | os.O_CREAT)
        self._own = own

    def states(self, tiles: torch.Tensor) -> torch.Tensor:
        """uint8 tiles [N, S, S, 3] to states [N, P, D] where the ViT lies, as `VLM.look` gives them."""
        names = [hashlib.blake2b(t.numpy().tobytes(), digest_size=DIGEST).digest() for t in tiles.cpu()]
        fresh = {name: tile for name, tile in zip(names, tiles, strict=True) if name not in self._places}
        looks = largest(len(fresh), self._together)
        # One at a time: a result must not depend on which neighbours had been seen before.
        seen = {name: self._model.look(tile[None])[0] for name, tile in fresh.items()}
        for _ in range(len(fresh), looks):
            self._model.look(torch.zeros_like(tiles[:1]))
        self.found, self.computed = self.found + len(names) - len(fresh), self.computed + len(fresh)
        self._keep(seen)
        device = self._model.vision.like.device
        return torch.stack([seen[n] if n in seen else self._stored(n).to(device) for n in names])

    def close(self) -> None:
        """No more reading and writing."""
        for file in (*self._files, self._names):
            os.close(file)
        self._lock.close()

    def _read(self, folder: Path) -> int:
        """Open a process's rows; returns their bytes. The first folder is the own one."""
        names, states = folder / "tiles.bin", folder / "states.bin"
        own = not self._files
        if not own and not (names.is_file() and states.is_file()):
            return 0
        self._files.append(os.open(states, os.O_RDWR | os.O_CREAT if own else os.O_RDONLY))
        listed = names.read_bytes() if names.is_file() else b""
        whole = min(len(listed) // DIGEST, states.stat().st_size // self._bytes)
        for row in range(whole):
            name = listed[row * DIGEST : (row + 1) * DIGEST]
            self._places.setdefault(name, (len(self._files) - 1, row))
        if own:
            self._rows = whole
        return whole * self._bytes

    def _stored(self, name: bytes) -> torch.Tensor:
        file, row = self._places[name]
        with disk_faults(self._own):
            data = os.pread(self._files[file], self._bytes, row * self._bytes)
        raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return raw.view(self._dtype).view(self._row.shape)

    def _keep(self, seen: dict[bytes, torch.Tensor]) -> None:
        kept = list(seen.items())[: max(0, self._most - self._used) // self._bytes]
        if not kept:
            return
        rows = torch.stack([state for _, state in kept]).cpu().contiguous()
        with disk_faults(self._own):
            _write(self._files[0], rows.view(torch.uint8).numpy().tobytes(), self._rows * self._bytes)
            _write(self._names, b"".join(name for name, _ in kept), self._rows * DIGEST)
        for name, _ in kept:
            self._places[name] = (0, self._rows)
            self._rows += 1
        self._used += len(kept) * self._bytes


def _write(file: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, place)
        view, place = view[done:], place + done
    os.fsync(file)


def _row_shape(model: VLM) -> torch.Tensor:
    """One tile's states, without values."""
    side = model.config.tile_side
    with without_memory():
        return VLM(model.config).look(torch.zeros(1, side, side, 3, dtype=torch.uint8))[0]


def _identity(model: VLM) -> str:
    """Names all that a tile's states follow from, but the tile."""
    settings = model.config.model_dump_json(exclude={"decoder"})
    weights = weights_digest(model.vision.named_parameters())
    known = f"{settings} {model.vision.like.device.type} {weights}"
    return hashlib.sha256(known.encode()).hexdigest()[:32]


@contextmanager
def cached_states(stage: Stage, model: nn.Module, mesh: ProcessMesh) -> Iterator[None]:
    """Inside, the model takes the states of tiles from the stage's cache, if it has one.

    ValueError when paths of the ViT are dropped at random.
    """
    if stage.cache_features is None:
        yield
        return
    assert isinstance(model, VLM)  # `require_cacheable` looked
    if any(getattr(module, "drop_path", 0.0) for module in model.vision.modules()):
        raise ValueError(
            f"stage {stage.name!r}: cache_features keeps what the ViT gives, but it drops paths at random; "
            "give drop_path = 0"
        )
    together = ALONE if mesh.weights is None else mesh.ranks
    most = int(stage.cache_gib * 2**30)
    cache = VisionCache(Path(stage.cache_features), model, most, mesh.ranks.rank, together)
    model.recall = cache.states
    try:
        yield
    finally:
        model.recall = None
        cache.close()


@contextmanager
def without_cache(model: Any) -> Iterator[None]:
    """Inside, one process alone may show tiles to a model whose cache belongs to several."""
    recall, model.recall = getattr(model, "recall", None), None
    try:
        yield
    finally:
        model.recall = recall


def require_cacheable(stage: Stage, model: nn.Module, sources: Sequence[WeightedSource]) -> None:
    """ValueError for a stage whose ViT, or whose pictures, change from one epoch to the next."""
    if stage.cache_features is None:
        return
    where = f"stage {stage.name!r}: cache_features"
    if not isinstance(model, VLM):
        raise ValueError(f"{where}: {type(model).__name__} has no ViT before a connector; leave it out")
    for name, _ in model.named_parameters():
        number = decides(stage.rules, name) if name.startswith("vision.") else None
        if number is not None and stage.rules[number].learning_rate is not None:
            raise ValueError(f"{where} keeps what a frozen ViT gives, but {name} is trained; leave it out")
    for source in sources:
        if stage.packing.augment and source.augment:
            raise ValueError(
                f"{where}: {source.source.name} augments its pictures, so no tile comes twice; set "
                "packing.augment = false"
            )
