"""A checkpoint and a part of it that lies in a folder of its own, read as one."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from tessera.checkpoints.files.folder import holds_weights
from tessera.checkpoints.files.shards import ShardReader, TensorSource
from tessera.checkpoints.hub import find_checkpoint
from tessera.families.architecture import PartApart
from tessera.runtime.shown import shown


class JoinedSource(TensorSource):
    """The tensors of both; those of the part under their names behind `prefix`."""

    def __init__(self, whole: TensorSource, part: ShardReader, prefix: str) -> None:
        self.folder, self._whole, self._part, self._prefix = whole.folder, whole, part, prefix
        # An absolute path behind a folder is itself, so that messages name the right file.
        places = {key: str((part.folder / name).absolute()) for key, name in part.files.items()}
        self._own = {prefix + key: key for key in places}
        self.files = {**whole.files, **{prefix + key: place for key, place in places.items()}}

    def shape(self, key: str) -> tuple[int, ...]:
        return self._part.shape(self._own[key]) if key in self._own else self._whole.shape(key)

    def tensor(self, key: str) -> torch.Tensor:
        return self._part.tensor(self._own[key]) if key in self._own else self._whole.tensor(key)


def folder_of(part: PartApart, config: Path) -> Path:
    """Where the part lies: the first of its places with weights, else the hub. ValueError naming key, value
    and remedy."""
    found = next((place for place in part.places if place.is_dir() and holds_weights(place)), None)
    if found is not None:
        return found
    said = f"{shown(config)}: {part.key} = {shown(part.name)}"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", part.hub):
        raise ValueError(
            f"{said}: the part is neither in these files nor in a folder of that name; put the folder there, "
            "or correct the path"
        )
    try:
        return find_checkpoint(part.hub, alone=True)
    except ValueError as error:
        raise ValueError(f"{said}: the part is not in these files ({error})") from error
