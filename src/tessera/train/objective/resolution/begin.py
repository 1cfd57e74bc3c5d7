"""A second connector and a resolution router beside a model that has none."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from tessera.checkpoints.load import Loaded
from tessera.models.config import VLMConfig
from tessera.models.initialise import initialise
from tessera.models.resolution.config import ResolutionConfig


def with_router(loaded: Loaded, resolution: ResolutionConfig | None, seed: int) -> Loaded:
    """The model with fresh parts, drawn from `seed`, in its own dtype and where its connector lies; None, or
    the config that it has, leaves it. ValueError for one that is no InternVL, or has another router."""
    config = loaded.family.model
    if resolution is None or (isinstance(config, VLMConfig) and config.resolution == resolution):
        return loaded
    if type(config) is not VLMConfig or config.resolution is not None:
        what = "has another router already" if isinstance(config, VLMConfig) else "has no tiles of InternViT"
        raise ValueError(f"start.resolution: {loaded.family.name} {what}; leave start.resolution out")
    config = VLMConfig.model_validate({**dict(config), "resolution": resolution})
    widths = config.vision.hidden_size, config.decoder.hidden_size
    parts = nn.ModuleDict(resolution.build(*widths, config))
    initialise(parts, seed)
    like: torch.Tensor = next(loaded.model.connector.parameters())
    for name, part in parts.items():
        loaded.model.add_module(name, part.to(like.device, like.dtype).train(loaded.model.training))
    loaded.model.config = config
    return replace(loaded, family=loaded.family.model_copy(update={"model": config}))
