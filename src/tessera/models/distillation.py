"""A small InternViT that learns the states of a large one: how InternViT-300M was made of the 6B.

The last layers of both are compared, the last with the last. Where the widths differ a linear layer, which is
thrown away, carries the small one's states over.
"""

import torch
from torch import nn

from tessera.models.config import VisionConfig
from tessera.models.vision.internvit import VisionTransformer
from tessera.models.vlm import normalise
from tessera.runtime.config import Config
from tessera.runtime.shown import shown

Pixels = tuple[float, float, float]


class TeacherConfig(Config):
    """A ViT that is imitated, and what it is asked."""

    name: str
    vision: VisionConfig
    mean: Pixels
    std: Pixels
    top: int = -1
    """Its highest state that is imitated, -1 the last."""
    layers: int = 1
    """How many states, counted down from there."""


class Teacher:
    """A frozen ViT. It is no module, so that no optimizer, state or checkpoint ever meets its weights."""

    def __init__(self, vit: VisionTransformer, config: TeacherConfig) -> None:
        self.config, self.vit = config, vit.eval().requires_grad_(False)

    @torch.no_grad()
    def states(self, tiles: torch.Tensor, like: torch.Tensor) -> list[torch.Tensor]:
        """uint8 tiles [N, S, S, 3] to its states [N, 1 + P, D], topmost first, on the device and in the
        dtype of `like`; without a graph."""
        own = self.vit.like
        if (own.device, own.dtype) != (like.device, like.dtype):
            self.vit.to(like.device, like.dtype)
        pixels = normalise(tiles, self.config.mean, self.config.std, like.dtype)
        top = self.config.top
        return self.vit.states(pixels, range(top, top - self.config.layers, -1))


class Distiller(nn.Module):
    """`vision.*` is the part that is kept; the projections are scaffolding."""

    def __init__(self, vision: VisionConfig, mean: Pixels, std: Pixels) -> None:
        super().__init__()
        self.vision, self.mean, self.std = VisionTransformer(vision), mean, std
        self.projection_heads = nn.ModuleList()
        self._teacher: Teacher | None = None

    @property
    def teacher(self) -> Teacher:
        """Who is imitated. ValueError before `imitate`."""
        if self._teacher is None:
            raise ValueError("teacher: none was given yet; call Distiller.imitate")
        return self._teacher

    @property
    def beside(self) -> tuple[nn.Module, ...]:
        """What it holds besides its own parts."""
        return () if self._teacher is None else (self._teacher.vit,)

    def imitates(self, config: TeacherConfig) -> bool:
        """Whether this teacher was given before. ValueError for another one: a run has one."""
        if self._teacher is None:
            return False
        if self._teacher.config != config:
            raise ValueError(
                f"teacher = {shown(config.name)}: stages of a run imitate one teacher in one way, this run "
                f"has {shown(self._teacher.config.name)}; make it a run of its own"
            )
        return True

    def imitate(self, teacher: Teacher) -> None:
        """Take a teacher. ValueError naming what of the two ViTs does not fit together."""
        own, other = self.vision.config, teacher.config
        if own.patch_size != other.vision.patch_size:
            raise ValueError(
                f"teacher = {shown(other.name)}: its patches have {other.vision.patch_size} pixels a side, "
                f"those of the small ViT {own.patch_size}; patches are compared one by one: give another"
            )
        if other.layers > own.num_hidden_layers:
            raise ValueError(
                f"layers = {other.layers}: the small ViT has {own.num_hidden_layers}; compare fewer"
            )
        self._teacher = teacher
        if own.hidden_size != other.vision.hidden_size:
            heads = (nn.Linear(own.hidden_size, other.vision.hidden_size) for _ in range(other.layers))
            self.projection_heads.extend(heads)

    def distances(self, tiles: torch.Tensor) -> torch.Tensor:
        """uint8 tiles [N, S, S, 3] to float32 [N]: the mean of 1 - cosine over states and layers."""
        wanted = self.teacher.states(tiles, self.vision.like)
        pixels = normalise(tiles, self.mean, self.std, self.vision.like.dtype)
        found = self.vision.states(pixels, range(-1, -1 - len(wanted), -1))
        if self.projection_heads:
            found = [head(state) for head, state in zip(self.projection_heads, found, strict=True)]
        pairs = zip(found, wanted, strict=True)
        likeness = [nn.functional.cosine_similarity(a.float(), b.float(), dim=-1) for a, b in pairs]
        return 1 - torch.stack(likeness).mean((0, 2))
