"""Views that change stored tensors on the way into a model, one at a time."""

import torch

from tessera.checkpoints.files.shards import TensorSource
from tessera.models.vision.internvit import resize_positions

SCALES = ".SCB"
FORMAT = ".weight_format"
INT8_STEPS = 127.0


def is_int8(source: TensorSource) -> bool:
    """Whether the files hold bitsandbytes' 8-bit linears (InternVL-Chat-V1-5-Int8)."""
    return any(key.endswith(SCALES) for key in source.files)


class View(TensorSource):
    """Another source as it is; what a view changes, it overrides."""

    def __init__(self, source: TensorSource) -> None:
        self._source = source
        self.folder, self.files = source.folder, source.files

    def shape(self, key: str) -> tuple[int, ...]:
        return self._source.shape(key)

    def tensor(self, key: str) -> torch.Tensor:
        return self._source.tensor(key)


class Int8View(View):
    """8-bit weights of bitsandbytes as floats: `weight` int8 [out, in] times `SCB` float [out] / 127.

    The product is formed in float32 and given in `dtype`; None takes that of the tensors that stayed floats.
    """

    def __init__(self, source: TensorSource, dtype: torch.dtype | None = None) -> None:
        super().__init__(source)
        self._coded = {f"{key.removesuffix(SCALES)}.weight" for key in source.files if key.endswith(SCALES)}
        for key in sorted(self._coded - source.files.keys()):
            raise ValueError(
                f"{source.place(self._scales_of(key))}: {self._scales_of(key)!r} stands without {key!r}: "
                "fetch the shards again"
            )
        inert = (SCALES, FORMAT)
        self.files = {key: file for key, file in source.files.items() if not key.endswith(inert)}
        self._dtype = dtype or self._float_dtype()

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor; 8-bit weights as floats."""
        stored = self._source.tensor(key)
        if key not in self._coded:
            return stored
        scales = self._source.tensor(self._scales_of(key)).float()
        if stored.dtype != torch.int8 or scales.shape != stored.shape[:1]:
            raise ValueError(
                f"{self.place(key)}: {key!r} is {stored.dtype} {tuple(stored.shape)} with scales "
                f"{tuple(scales.shape)}, not int8 with one scale a row: fetch the checkpoint without 8 bits"
            )
        self._check_format(key)
        return (stored.float() * (scales / INT8_STEPS)[:, None]).to(self._dtype)

    @staticmethod
    def _scales_of(key: str) -> str:
        return key.removesuffix(".weight") + SCALES

    def _check_format(self, key: str) -> None:
        """0 says that rows lie one behind the other; the others are orders for one kind of card."""
        name = key.removesuffix(".weight") + FORMAT
        if name in self._source.files and int(self._source.tensor(name).reshape(-1)[0]) != 0:
            raise ValueError(
                f"{self._source.place(name)}: {name!r} is not 0, the weights lie in an order made for one "
                "card: save the checkpoint again with a newer bitsandbytes"
            )

    def _float_dtype(self) -> torch.dtype:
        floats = (key for key in self.files if key not in self._coded and key.endswith("weight"))
        key = next(floats, None)
        return torch.float16 if key is None else self._source.tensor(key).dtype


class ResizedPositions(View):
    """The ViT's position embedding at another grid than the stored one, all else as it is
    (docs/facts/architecture.md)."""

    def __init__(self, source: TensorSource, key: str, stored_grid: int, grid: int) -> None:
        super().__init__(source)
        self._key, self._stored_grid, self._grid = key, stored_grid, grid

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, the embedding's after the resize; ValueError when it has another grid."""
        shape = self._source.shape(key)
        if key != self._key:
            return shape
        if shape[1:2] != (1 + self._stored_grid**2,):
            raise ValueError(
                f"{self.place(key)}: {key!r} has shape {shape} but the config's vision part asks for "
                f"{1 + self._stored_grid**2} positions: config and weights belong to different models"
            )
        return (shape[0], 1 + self._grid**2, *shape[2:])

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor; the embedding resized bicubically in float32."""
        stored = self._source.tensor(key)
        if key != self._key:
            return stored
        return resize_positions(stored, self._stored_grid, self._grid, self._grid)
