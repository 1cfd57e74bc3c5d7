"""Features of tiles in two forms: fine, as every model has them, or coarse, a quarter of the tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tessera.models.config import VLMConfig
from tessera.models.resolution.config import ResolutionConfig
from tessera.models.vlm import VLM


def has_forms(model: VLM) -> bool:
    """Whether tiles of this model may be coarse."""
    return isinstance(model.config, VLMConfig) and model.config.resolution is not None


def choose_coarse(scores: torch.Tensor, config: ResolutionConfig) -> torch.Tensor:
    """bool [N]: which tiles of a prompt become coarse, by the router's scores float32 [N, 2]."""
    chance = scores.float().softmax(-1)[:, 0]
    if not len(chance):
        return torch.zeros(0, dtype=torch.bool, device=scores.device)
    limit = torch.quantile(chance, config.relative_threshold)
    return (chance > limit) & (chance >= config.absolute_threshold)


def routed_scores(model: VLM, states: torch.Tensor) -> torch.Tensor:
    """The router's scores float32 [N, 2] of the ViT's states [N, P, D]."""
    router = model.get_submodule("router")
    scores: torch.Tensor = router(states.to(next(router.parameters()).device))
    return scores


def connect_forms(model: VLM, states: torch.Tensor, coarse: Sequence[bool]) -> list[torch.Tensor]:
    """Features [tokens, D] of each tile in the form that `coarse` names, of its states [N, P, D_vision]."""
    wanted = torch.tensor(list(coarse), dtype=torch.bool)
    found: dict[int, torch.Tensor] = {}
    for form, name in ((False, "connector"), (True, "coarse")):
        rows = (wanted == form).nonzero().flatten()
        if len(rows):
            connector = model.get_submodule(name)
            device = next(connector.parameters()).device
            features = connector(states[rows.to(states.device)].to(device))
            found |= dict(zip(rows.tolist(), features, strict=True))
    return [found[number] for number in range(len(wanted))]
