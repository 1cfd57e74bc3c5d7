"""A vision encoder that is open: pictures or pixels to features, a few at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from tessera.checkpoints.backbone.features import Features, as_map, joined
from tessera.checkpoints.backbone.pictures import Fit, Pixels, Size
from tessera.models.config import VisionConfig
from tessera.models.vision.internvit import VisionTransformer
from tessera.models.vlm import PATCHES_AT_ONCE, PATCHES_AT_ONCE_ON_CPU
from tessera.runtime.shown import shown


@dataclass(frozen=True, repr=False)
class VisionEncoder:
    """An InternViT, for inference (`tessera.load_vision`); `repr` says what was opened."""

    name: str
    module: VisionTransformer
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    notes: tuple[str, ...] = ()
    """What is odd about its files and what was made of it."""

    @property
    def config(self) -> VisionConfig:
        """Shapes."""
        return self.module.config

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.module.like.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.module.like.dtype

    @property
    def fingerprint(self) -> str:
        """Text that differs between encoders: of their shapes, and of all weights that are no matrices of
        blocks, which every training changes, too."""
        digest = hashlib.blake2b(f"{self.config.model_dump_json()}{self.dtype}".encode(), digest_size=16)
        for name, weight in sorted(self.module.named_parameters()):
            if weight.dim() < 2 or "embedding" in name:
                digest.update(weight.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        vision = self.config
        size = f"{vision.weights().total / 1e6:,.1f} M parameters"
        dtype = str(self.dtype).removeprefix("torch.")
        shape = f"{vision.num_hidden_layers} layers of {vision.hidden_size} channels"
        native = f"{vision.image_size} px in patches of {vision.patch_size}"
        return f"{self.name} · vision encoder · {shape} · {size} · {native} · {dtype} on {self.device}"

    def pixels(self, size: Size = None, fit: Fit | None = None) -> Pixels:
        """How pictures become pixels. ValueError for a size or a fit that can't be."""
        vision = self.config
        return Pixels(vision.patch_size, vision.image_size, self.mean, self.std, size, fit)

    def __call__(
        self,
        pixel_values: object,
        *,
        size: Size = None,
        fit: Fit | None = None,
        layers: Sequence[int] = (),
        output_hidden_states: bool = False,
        batch_size: int | None = None,
    ) -> Features:
        """Features of pictures, or of pixels that are normalised already: float [N, 3, H, W].

        Pictures are paths, bytes, PIL, uint8 arrays [H, W, 3], or a sequence of these. size: a side,
        (height, width) in pixels, "own", or None for the square of its training; pixels keep theirs. fit:
        what is done with sides that are no multiple of the patch; None is an error. layers: numbers of
        states, 0 the embeddings, -1 the last. batch_size: pictures that go through together; None goes by
        the device. ValueError naming what can't be read or used; for pictures of several sizes use `stream`.
        """
        parts = list(
            self.stream(
                pixel_values,
                size=size,
                fit=fit,
                layers=layers,
                output_hidden_states=output_hidden_states,
                batch_size=batch_size,
            )
        )
        if not parts:
            raise ValueError("pixel_values: no picture was given")
        if len(grids := {part.grid for part in parts}) > 1:
            (one, another), patch = sorted(grids)[:2], self.config.patch_size
            sizes = " and ".join(f"{height * patch} x {width * patch}" for height, width in (one, another))
            raise ValueError(
                f"size = 'own': pictures of {sizes} pixels can't be one tensor; give a size, or take them "
                "one by one from stream()"
            )
        return joined(parts)

    def stream(
        self,
        pixel_values: object,
        *,
        size: Size = None,
        fit: Fit | None = None,
        layers: Sequence[int] = (),
        output_hidden_states: bool = False,
        batch_size: int | None = None,
    ) -> Iterator[Features]:
        """The same batch by batch, in order: memory is that of one batch, however many pictures there are.

        Pictures of one size that follow each other share a batch.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: give at least 1")
        _require_numbers(layers)
        prepared = self.pixels(size, fit)
        waiting: list[torch.Tensor] = []
        for ready in prepared.of(pixel_values):
            if waiting and (ready.shape != waiting[0].shape or len(waiting) >= self._most(ready, batch_size)):
                yield self._features(prepared.stack(waiting, self.module.like), layers, output_hidden_states)
                waiting = []
            waiting.append(ready)
        if waiting:
            yield self._features(prepared.stack(waiting, self.module.like), layers, output_hidden_states)

    def _most(self, ready: torch.Tensor, batch_size: int | None) -> int:
        """Pictures of this size that go through together."""
        if batch_size is not None:
            return batch_size
        at_once = PATCHES_AT_ONCE_ON_CPU if self.device.type == "cpu" else PATCHES_AT_ONCE
        return max(1, at_once * self.config.patch_size**2 * 3 // ready.numel())

    @torch.no_grad()
    def _features(self, pixels: torch.Tensor, layers: Sequence[int], every: bool) -> Features:
        grid = (pixels.shape[2] // self.config.patch_size, pixels.shape[3] // self.config.patch_size)
        wanted = list(range(len(self.module.layers) + 1)) if every else [*layers, -1]
        found = self.module.states(pixels, wanted)
        maps = found if not every else self._chosen(found, layers)
        named = {number: as_map(state, grid) for number, state in zip(layers, maps, strict=False)}
        return Features(found[-1], grid, named, tuple(found) if every else None)

    def _chosen(self, states: list[torch.Tensor], layers: Sequence[int]) -> list[torch.Tensor]:
        return [states[self.module.state_number(number)] for number in layers]


def _require_numbers(layers: object) -> None:
    """ValueError for anything but a sequence of whole numbers."""
    if not isinstance(layers, Sequence) or not all(type(number) is int for number in layers):
        raise ValueError(f"layers = {shown(layers)}: give a list of whole numbers such as (-4, -1)")
