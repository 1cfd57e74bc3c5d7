"""A picture tower and a text tower that meet in one space: the contrastive start of the scale model.

Both towers are the series' own parts: InternViT, and a small causal decoder whose last token stands for the
text. Regions are means of the ViT's patch states, compared with the phrases that name them, so that the
patches, and not only the class token, learn what they show.
"""

import torch
import torch.nn.functional as F
from torch import nn

from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD, DecoderConfig, VisionConfig
from tessera.models.decoder import Decoder
from tessera.models.vision.internvit import VisionTransformer
from tessera.models.vlm import normalise
from tessera.nn.attention.layout import Packed
from tessera.runtime.config import Config


class ContrastiveConfig(Config):
    """The two towers and the width of the shared space."""

    vision: VisionConfig
    text: DecoderConfig
    width: int = 192
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


class ContrastivePair(nn.Module):
    """`vision.*` is the part that is kept; the text tower and the projections are scaffolding."""

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTransformer(config.vision)
        self.text = Decoder(config.text)
        self.image_projection_head = nn.Linear(config.vision.hidden_size, config.width, bias=False)
        self.region_projection_head = nn.Linear(config.vision.hidden_size, config.width, bias=False)
        self.text_projection_head = nn.Linear(config.text.hidden_size, config.width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.65))  # 1 / 0.07

    def scale(self) -> torch.Tensor:
        """Inverse temperature, at most 100."""
        return self.log_scale.clamp(max=4.605).exp()

    def encode_images(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 tiles [N, S, S, 3] to class-token unit vectors [N, width] and patch states [N, P, D]."""
        dtype = self.vision.embeddings.class_embedding.dtype
        states = self.vision(normalise(tiles, self.config.mean, self.config.std, dtype))
        return F.normalize(self.image_projection_head(states[:, 0]).float(), dim=-1), states[:, 1:]

    def encode_regions(self, patches: torch.Tensor, owner: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
        """Unit vectors [R, width] of regions.

        patches [N, P, D]; owner int64 [R] names each region's picture; cover float32 [R, P] is the share of
        each patch in the region, rows summing to 1.
        """
        means = torch.bmm(cover.to(patches.dtype)[:, None], patches[owner])[:, 0]
        return F.normalize(self.region_projection_head(means).float(), dim=-1)

    def encode_texts(self, ids: torch.Tensor, layout: Packed) -> torch.Tensor:
        """Texts laid end to end, ids int64 [T], to unit vectors [B, width] of their last tokens."""
        hidden = self.text(self.text.embed(ids), layout, rows=layout.ends(ids.device))
        return F.normalize(self.text_projection_head(hidden).float(), dim=-1)
