"""Every InternViT that stands in a chat model (facts 1.1; InternVL 2.5 paper, table 1).

Counts: 304M and 5.54B are the papers' figures, 5.91B the model card of InternVL-Chat-V1-1
(internvl.github.io/blog/2024-01-24-InternVL-1.1), which tells that its ViT still has all 48 layers.
"""

from __future__ import annotations

from tessera.families.parts import VisionModel


def _small(name: str) -> VisionModel:
    return VisionModel(name, layers=24, width=1024, heads=16, inner=4096, large=False)


def _large(name: str, layers: int = 45) -> VisionModel:
    return VisionModel(name, layers=layers, width=3200, heads=25, inner=12800, large=True)


SMALL = _small("InternViT-300M-448px")
SMALL_V2_5 = _small("InternViT-300M-448px-V2_5")
LARGE_V1_0 = _large("InternViT-6B-448px-V1-0", layers=48)
LARGE_V1_2 = _large("InternViT-6B-448px-V1-2")
LARGE_V1_5 = _large("InternViT-6B-448px-V1-5")
LARGE_V2_5 = _large("InternViT-6B-448px-V2_5")

LARGE_INITIAL = (0.1, 1e-10, 0.0)
"""Initial layer scale, deviation of weights and drop path in the configs of the 6B line (facts 1.1)."""
