"""Every InternViT that stands in a chat model (docs/facts/architecture.md; InternVL 2.5 paper, table 1).

Counts: 304M and 5.54B are the papers' figures, 5.91B the model card of InternVL-Chat-V1-1
(internvl.github.io/blog/2024-01-24-InternVL-1.1), which tells that its ViT still has all 48 layers.
"""

from tessera.families.entry import VisionModel
from tessera.models.config import VisionConfig


def _small(name: str) -> VisionModel:
    """24 layers of 1,024 channels at 448 px, which are the config's defaults."""
    return VisionModel(name, "300M", VisionConfig())


def _large(name: str, layers: int = 45) -> VisionModel:
    """RMS norm, QK-norm and no bias on query, key and value."""
    config = VisionConfig(
        hidden_size=3200,
        num_hidden_layers=layers,
        num_attention_heads=25,
        intermediate_size=12800,
        norm_type="rms_norm",
        qk_normalization=True,
        qkv_bias=False,
    )
    return VisionModel(name, "6B", config)


SMALL = _small("InternViT-300M-448px")
SMALL_V2_5 = _small("InternViT-300M-448px-V2_5")
LARGE_V1_0 = _large("InternViT-6B-448px-V1-0", layers=48)
LARGE_V1_2 = _large("InternViT-6B-448px-V1-2")
LARGE_V1_5 = _large("InternViT-6B-448px-V1-5")
LARGE_V2_5 = _large("InternViT-6B-448px-V2_5")

LARGE_INITIAL = (0.1, 1e-10, 0.0)
"""Initial layer scale, deviation of weights and drop path in the configs of the 6B line
(docs/facts/architecture.md)."""
