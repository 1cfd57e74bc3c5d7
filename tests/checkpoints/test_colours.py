"""Features as colours."""

from __future__ import annotations

import torch

from tessera.checkpoints.backbone.colours import feature_colours


def test_alike_patches_have_one_colour_in_all_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(4, 12, generator=generator)
    places = [torch.randint(4, size, generator=generator) for size in ((3, 5), (4, 2))]
    colours = feature_colours([kinds[place] for place in places])
    assert [one.shape for one in colours] == [(3, 5, 3), (4, 2, 3)] and colours[0].dtype == torch.uint8
    flat, named = torch.cat([one.flatten(0, 1) for one in colours]), torch.cat([p.flatten() for p in places])
    means = [flat[named == kind].unique(dim=0) for kind in range(4)]
    assert all(len(mean) == 1 for mean in means) and len(torch.cat(means).unique(dim=0)) == 4


def test_one_direction_is_one_colour() -> None:
    ramp = torch.linspace(0, 1, 8).view(2, 4, 1) * torch.ones(6)
    (found,) = feature_colours([ramp])
    assert found[..., 0].flatten().diff().ge(0).all() and int(found.amax()) == 255
