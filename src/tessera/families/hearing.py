"""Ears for a model that sees: the family that a member of InternVL becomes with an audio encoder."""

from __future__ import annotations

from pathlib import Path

from tessera.chat.tokenizer import Tokenizer
from tessera.families.catalogue import get_family
from tessera.families.family import Family
from tessera.families.internvl.config.section import CONFIG_FILE
from tessera.families.omni.layout import AUDIO, read_audio
from tessera.families.omni.model import OmniConfig
from tessera.families.omni.prompt import ALL_TOKENS, ARCHITECTURE, TOKENS
from tessera.models.audio_encoder.config import AudioConfig
from tessera.models.config import VLMConfig
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

SOUND_TOKENS = ALL_TOKENS.sounds
"""What its tokenizer has beside that of the model that sees."""


def audio_in(folder: Path) -> AudioConfig:
    """The encoder that a folder holds: a Whisper alone, or a published model that hears.

    ValueError naming file and key for another folder.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{shown(folder)} holds no {CONFIG_FILE}: give the folder of a Whisper")
    config = Section.of(path)
    if config.content.get(AUDIO):
        config = config.section(AUDIO)
    elif config.content.get("model_type") != "whisper":
        raise config.wrong("model_type", "this is no audio encoder that is read here; give a Whisper")
    return read_audio(config, {})


def audio_of(name: str) -> AudioConfig:
    """The encoder of a member of the catalogue. ValueError for one that does not hear."""
    hearing = get_family(name).model.hearing
    if hearing is None:
        raise ValueError(f"family: {name} does not hear; name InternOmni or scale_omni")
    return hearing.audio


def with_ears(family: Family, audio: AudioConfig, tokenizer: Tokenizer, name: str) -> Family:
    """The family that hears; `tokenizer` has the tokens of sounds. ValueError for one that hears already, and
    for another architecture."""
    model = family.model
    if model.hearing is not None:
        raise ValueError(f"audio: {family.name} hears already; leave the encoder out")
    if type(model) is not VLMConfig:
        raise ValueError(f"audio: ears are for models of InternVL, not for {family.architecture}")
    ids = {"audio": audio, "audio_token_id": tokenizer.token_id(TOKENS.context)}
    hearing = OmniConfig(**dict(model) | ids)
    return Family(**dict(family) | {"name": name, "architecture": ARCHITECTURE, "model": hearing})
