"""A pack whose tiles are partly coarse: the placeholders that fall away, and the features in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from tessera.models.config import VLMConfig
from tessera.models.resolution.forms import connect_forms, has_forms
from tessera.models.vlm import VLM
from tessera.packing.pack import Pack
from tessera.train.objective.answers import layout_of


@dataclass(frozen=True)
class Forms:
    """Tokens of a tile in either form, and the id of their placeholders."""

    fine: int
    coarse: int
    placeholder: int

    @classmethod
    def of(cls, model: VLM) -> Forms:
        """ValueError for a model without a resolution router."""
        config = model.config
        if not has_forms(model) or not isinstance(config, VLMConfig):
            raise ValueError(
                "objective: the model has no resolution router; give start.resolution, or start from a Flash "
                "model"
            )
        return cls(config.tokens_per_tile, config.coarse_tokens, config.image_token_id)


def coarsened(pack: Pack, coarse: Sequence[bool], forms: Forms) -> Pack:
    """The pack with the first `forms.coarse` placeholders of each coarse tile, as inference writes them.

    ValueError for positions of its own (V2PE), or for tiles that don't fit its ids.
    """
    if pack.positions is not None:
        raise ValueError("packing.v2pe: routers are trained where every token counts as one; leave it out")
    visual = pack.ids == forms.placeholder
    if int(visual.sum()) != forms.fine * len(coarse):
        raise ValueError(f"{pack.keys[0]}: {int(visual.sum())} placeholders for {len(coarse)} tiles")
    place = visual.cumsum(0) - 1
    few = torch.tensor([*coarse, False])[torch.where(visual, place // forms.fine, len(coarse))]
    kept = ~(few & (place % forms.fine >= forms.coarse))
    lengths = tuple(int(part.sum()) for part in kept.split(pack.lengths))
    return replace(pack, ids=pack.ids[kept], weights=pack.weights[kept], lengths=lengths)


def states_in_forms(
    model: VLM, pack: Pack, states: torch.Tensor | None, coarse: Sequence[bool], device: torch.device
) -> torch.Tensor:
    """Final hidden states [R, D] before each supervised token of a pack that is `coarsened`; `states`: the
    ViT's of its tiles."""
    features = None
    if states is not None and len(states):
        features = torch.cat(connect_forms(model, states, coarse))[None]
    rows = pack.weights.nonzero()[:, 0] - 1
    out: torch.Tensor = model(pack.ids, layout_of(pack), features=features, rows=rows.to(device))
    return out


def seen(model: VLM, pack: Pack, device: torch.device) -> torch.Tensor | None:
    """The ViT's states of a pack's own tiles; None without any."""
    tiles = pack.tiles[: sum(pack.tiles_per_sample)]
    return model.look(tiles.to(device)) if len(tiles) else None
