"""Every released InternViT (docs/facts/architecture.md; InternVL 2.5 paper, table 1).

Counts: 304M and 5.54B are the papers' figures, 5.91B the model card of InternVL-Chat-V1-1
(internvl.github.io/blog/2024-01-24-InternVL-1.1), which tells that its ViT still has all 48 layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tessera.families.entry import Component, Published, VisionModel
from tessera.models.accounting import Weights
from tessera.models.config import VisionConfig


def _small(name: str) -> VisionModel:
    """24 layers of 1,024 channels at 448 px, which are the config's defaults."""
    return VisionModel(name, "300M", VisionConfig())


def _large(name: str, layers: int = 45, side: int = 448) -> VisionModel:
    """RMS norm, QK-norm and no bias on query, key and value."""
    config = VisionConfig(
        image_size=side,
        hidden_size=3200,
        num_hidden_layers=layers,
        num_attention_heads=25,
        intermediate_size=12800,
        norm_type="rms_norm",
        qk_normalization=True,
        qkv_bias=False,
    )
    return VisionModel(name, "6B", config)


SMALL_DISTILL = _small("InternViT-300M-448px-Distill")
SMALL = _small("InternViT-300M-448px")
SMALL_V2_5 = _small("InternViT-300M-448px-V2_5")
LARGE_224 = _large("InternViT-6B-224px", layers=48, side=224)
LARGE_V1_0 = _large("InternViT-6B-448px-V1-0", layers=48)
LARGE_V1_2 = _large("InternViT-6B-448px-V1-2")
LARGE_V1_5 = _large("InternViT-6B-448px-V1-5")
LARGE_V2_5 = _large("InternViT-6B-448px-V2_5")

LARGE_INITIAL = (0.1, 1e-10, 0.0)
"""Initial layer scale, deviation of weights and drop path in the configs of the 6B line
(docs/facts/architecture.md)."""

PAPER = "arXiv 2412.05271, table 1"


@dataclass(frozen=True)
class EncoderAlone:
    """A model that is nothing but its ViT."""

    vision: VisionConfig

    def part_weights(self) -> Mapping[str, Weights]:
        """One part."""
        return {"vision": self.vision.weights()}

    def describe_parts(self) -> Mapping[str, str]:
        """Layers, widths, pixels and norms."""
        vision = self.vision
        norm = "RMS norm, QK-norm" if vision.qk_normalization else "LayerNorm"
        return {
            "vision": f"{vision.num_hidden_layers} layers of {vision.hidden_size} channels, "
            f"{vision.num_attention_heads} heads, {norm}, {vision.image_size} px in patches of "
            f"{vision.patch_size}"
        }


def _encoder(
    model: VisionModel, generation: str, total: str, *notes: str, unverified: tuple[str, ...] = ()
) -> Component:
    return Component(
        base=model.name,
        generation=generation,
        architecture="internvl",
        model=EncoderAlone(model.config),
        published=Published(total, total, source=PAPER),
        notes=notes,
        unverified=unverified,
        purpose="vision encoder",
        vision=model.label,
        licence=model.licence,
        use=f'tessera.load_vision("OpenGVLab/{model.name}"), tessera features PICTURES --model {model.name}',
    )


COMPONENTS = (
    _encoder(
        LARGE_224,
        "1",
        "5.9",
        "ViT of the contrastive pair; chat models of 1.0 read its fourth state from the end (layers=-4)",
    ),
    _encoder(
        LARGE_V1_0,
        "1.1",
        "5.9",
        "the paper says 48 layers, the authors' settings for classification 45",
        "chat models read its fourth state from the end (layers=-4)",
        unverified=("num_hidden_layers",),
    ),
    _encoder(LARGE_V1_2, "1.2", "5.54", "the last three of 48 layers were left out"),
    _encoder(LARGE_V1_5, "1.5", "5.54"),
    _encoder(
        SMALL_DISTILL,
        "1.5",
        "0.304",
        "made by imitating InternViT-6B-448px-V1-5; described in the paper, we found no public repository",
        unverified=("repository",),
    ),
    _encoder(SMALL, "1.5", "0.304"),
    _encoder(LARGE_V2_5, "2.5", "5.54"),
    _encoder(SMALL_V2_5, "2.5", "0.304"),
)
"""Released alone, as backbones; oldest first."""
