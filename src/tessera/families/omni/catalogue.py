"""InternOmni, and toy sizes of it (docs/facts/audio.md).

Put together from InternVL2-8B and Whisper-large-v3; only the MLP between them was trained. The checkpoint was
not seen: what its remote code does between the encoder's states and the MLP stays a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tessera.families.entry import Component, Entry, Published
from tessera.families.internvl.catalogue import TOYS as INTERNVL_TOYS
from tessera.families.internvl.catalogue.internvl_2 import EIGHT
from tessera.families.omni.model import OmniConfig
from tessera.families.omni.prompt import ARCHITECTURE
from tessera.models.audio_encoder.config import AudioConfig
from tessera.models.config import ModelConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

SOUND_TOKENS = 3


def with_ears(model: ModelConfig, audio: AudioConfig) -> OmniConfig:
    """InternVL's config with an audio encoder and rows for the tokens of sounds behind the others."""
    rows = model.decoder.vocab_size
    decoder = model.decoder.model_copy(update={"vocab_size": rows + SOUND_TOKENS})
    return OmniConfig(**dict(model) | {"decoder": decoder, "audio": audio, "audio_token_id": rows + 2})


OMNI = with_ears(EIGHT.model, AudioConfig())
ENTRIES: tuple[Entry, ...] = (
    replace(
        EIGHT,
        base="InternOmni",
        architecture=ARCHITECTURE,
        language=EIGHT.language.varied({"vocab_size": OMNI.decoder.vocab_size}, unverified=("vocabulary",)),
        model=OMNI,
        published=Published("8.7", "0.304", source="internvl.github.io/blog/2024-07-27-InternOmni"),
        card_licence="",
        notes=("InternVL2-8B and the encoder of Whisper-large-v3 (Apache-2.0), joined by mlp2",),
        unverified=("audio tokens", "audio.pool", "audio.pool_before_norm", "audio.mask_padding"),
    ),
)
COMPONENTS: tuple[Component, ...] = ()


def refusal(name: str) -> str | None:
    """Every published member opens."""
    return None


def _toy(name: str, base: str, audio: AudioConfig) -> Family:
    from tessera.families.family import Family

    family = INTERNVL_TOYS[base]()
    fields = {"name": name, "architecture": ARCHITECTURE, "model": with_ears(family.model, audio)}
    return Family(**dict(family) | fields)


SMALL = AudioConfig(
    d_model=192, encoder_layers=3, encoder_attention_heads=3, encoder_ffn_dim=512, max_source_positions=500
)
NANO = AudioConfig(
    num_mel_bins=16,
    d_model=16,
    encoder_layers=2,
    encoder_attention_heads=2,
    encoder_ffn_dim=24,
    max_source_positions=200,
)
TOYS: dict[str, Callable[[], Family]] = {
    # The scale model with an encoder of 2 million weights for sounds up to 10 s.
    "scale_omni": lambda: _toy("scale_omni", "scale_model", SMALL),
    "nano_omni": lambda: _toy("nano_omni", "nano_model", NANO),
}
