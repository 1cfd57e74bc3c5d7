"""The mask decoder that comes with a model, as a decoder of links: one mask a link and picture."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from tessera.engine.links.decoders import LinkRequest, LinkResult, Mask, SeenPicture
from tessera.models.links.maps import picture_map
from tessera.models.vlm import VLM

KEPT = 4
"""Maps of pictures that are kept: the links of an answer ask for the same ones."""


@dataclass(frozen=True, eq=False)
class MaskDecoding:
    """Masks by the model's own mask decoder, which must be there."""

    model: VLM
    _maps: OrderedDict[int, tuple[SeenPicture, torch.Tensor]] = field(default_factory=OrderedDict)

    def __call__(self, link: LinkRequest, /) -> LinkResult:
        """A mask of every picture. ValueError without one."""
        if not link.pictures:
            raise ValueError(f"{link.token}: a mask needs a picture; the question has none, ask about one")
        return LinkResult(masks=tuple(self._mask(link.states, picture) for picture in link.pictures))

    @torch.no_grad()
    def _mask(self, states: torch.Tensor, picture: SeenPicture) -> Mask:
        links = self.model.links
        assert links is not None and links.masks is not None, "who makes this has looked"
        logits = links.masks(states.to(links.queries)[None], self._map(picture)).float()
        width, height = picture.cut.size
        logits = F.interpolate(logits[None], (height, width), mode="bilinear", align_corners=False)[0, 0]
        chances = logits.sigmoid()
        inside = chances >= 0.5
        score = float(chances[inside].mean()) if bool(inside.any()) else 0.0
        return Mask(picture.number, inside.cpu().numpy(), score)

    def _map(self, picture: SeenPicture) -> torch.Tensor:
        """States [h, w, D] of a picture's patches."""
        known = self._maps.get(id(picture))
        if known is None:
            columns, rows = picture.cut.columns, picture.cut.rows
            tiles = torch.from_numpy(picture.tiles[: columns * rows])
            known = picture, picture_map(self.model.look(tiles), columns, rows)
            self._maps[id(picture)] = known
            while len(self._maps) > KEPT:
                self._maps.popitem(last=False)
        return known[1]
