"""What a vision encoder gives for pictures, under the names of transformers and as maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Features:
    """Of N pictures that have one size, in h x w patches; float of the model's dtype, on its device."""

    last_hidden_state: torch.Tensor
    """[N, 1 + h * w, D] behind the last layer, the class token first. InternViT has no norm at its end."""
    grid: tuple[int, int]
    """Patches down and across: (h, w)."""
    layers: Mapping[int, torch.Tensor] = field(default_factory=dict)
    """Patch features [N, h, w, D] of the layers that were asked for, under the numbers as given."""
    hidden_states: tuple[torch.Tensor, ...] | None = None
    """All depth + 1 states [N, 1 + h * w, D], the embeddings first, where asked for."""

    @property
    def pooler_output(self) -> torch.Tensor:
        """The class token [N, D]."""
        return self.last_hidden_state[:, 0]

    @property
    def pooled(self) -> torch.Tensor:
        """The class token [N, D]."""
        return self.pooler_output

    @property
    def patches(self) -> torch.Tensor:
        """Patch features [N, h, w, D] behind the last layer."""
        return as_map(self.last_hidden_state, self.grid)

    def __len__(self) -> int:
        """Pictures."""
        return len(self.last_hidden_state)


def as_map(state: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """A state [N, 1 + h * w, D] to patch features [N, h, w, D], the class token dropped."""
    return state[:, 1:].unflatten(1, grid)


def joined(parts: list[Features]) -> Features:
    """Features of several batches of one size as one."""
    if len(parts) == 1:
        return parts[0]
    states = None
    if parts[0].hidden_states is not None:
        states = tuple(torch.cat(same) for same in zip(*(p.hidden_states or () for p in parts), strict=True))
    return Features(
        torch.cat([part.last_hidden_state for part in parts]) if states is None else states[-1],
        parts[0].grid,
        {number: torch.cat([part.layers[number] for part in parts]) for number in parts[0].layers},
        states,
    )
