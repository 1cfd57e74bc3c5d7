"""The small mask decoder: maps by hand, each mask as if it were alone, and that it can learn one."""

from __future__ import annotations

import pytest
import torch

from tessera.models.links.config import MaskDecoderConfig
from tessera.models.links.maps import picture_map
from tessera.models.links.masks import MaskDecoder, positions

CONFIG = MaskDecoderConfig(width=16, heads=2, layers=2)


def decoder(scale: int = 4) -> MaskDecoder:
    torch.manual_seed(0)
    return MaskDecoder(CONFIG.model_copy(update={"scale": scale}), 12).eval()


def test_tiles_make_one_map() -> None:
    states = torch.randn(7, 4, 3)
    found = picture_map(states, columns=3, rows=2)
    assert found.shape == (4, 6, 3)
    for y in range(4):
        for x in range(6):
            tile, patch = (y // 2) * 3 + x // 2, (y % 2) * 2 + x % 2
            assert torch.equal(found[y, x], states[tile, patch])
    with pytest.raises(ValueError, match="states of 7 tiles: a grid of 4 x 2 has 8"):
        picture_map(states, 4, 2)


@pytest.mark.parametrize("scale", [1, 4, 8])
def test_masks_are_made_one_by_one(scale: int) -> None:
    """Neighbours in a batch, of the same picture or of another, change nothing."""
    made, states = decoder(scale), torch.randn(3, 5, 16)
    pictures = torch.randn(3, 2, 3, 12)
    with torch.no_grad():
        together = made(states, pictures)
        assert together.shape == (3, 2 * scale, 3 * scale)
        for number in range(3):
            alone = made(states[number : number + 1], pictures[number])
            torch.testing.assert_close(alone[0], together[number], atol=1e-5, rtol=1e-5)
        one = made(states, pictures[0])
        torch.testing.assert_close(one[1], made(states[1:2], pictures[:1])[0], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(one[0], one[1]), "states must matter"


def test_positions_tell_places_apart() -> None:
    found = positions(6, 8, 16)
    distances = torch.cdist(found, found) + torch.eye(48) * 9
    assert found.shape == (48, 16) and distances.min() > 0.1


def test_it_learns_which_half_is_meant() -> None:
    """Two links about one picture without anything on it: what tells them apart is their states."""
    made = decoder().train()
    states, picture = torch.randn(2, 3, 16), torch.zeros(4, 4, 12)
    target = torch.zeros(2, 16, 16)
    target[0, :, :8] = target[1, 8:] = 1.0
    optimizer = torch.optim.Adam(made.parameters(), 5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(made(states, picture), target)
        loss.backward()
        optimizer.step()
    assert ((made(states, picture) > 0) == target.bool()).float().mean() > 0.95
