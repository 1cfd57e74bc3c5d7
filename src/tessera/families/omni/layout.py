"""The published layout: InternVL's config.json with an `audio_config`, which is Whisper's
(docs/facts/audio.md)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import Reading
from tessera.families.family import Family
from tessera.families.internvl.config import official
from tessera.families.internvl.config.section import CONFIG_FILE, SECTION
from tessera.families.keymap import KeyMap
from tessera.families.omni.model import OmniConfig
from tessera.families.omni.prompt import ARCHITECTURE, TOKENS
from tessera.families.omni.weights import ROOTS, audio_rules, root_in
from tessera.models.audio_encoder.config import AudioConfig
from tessera.runtime.json_file import Section, write_json

MODEL_TYPE = official.MODEL_TYPE
FILES = official.FILES
LORA_RANKS = official.LORA_RANKS
AUDIO = "audio_config"
WHISPER: dict[str, Any] = {
    "num_mel_bins": 80,
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "max_source_positions": 1500,
}
"""What WhisperConfig takes for keys that a file leaves out."""
FIXED = {"activation_function": "gelu", "scale_embedding": False}
"""Settings that every Whisper has and that our encoder does not vary."""
UNPUBLISHED = ("pool", "pool_before_norm", "mask_padding")
"""Fields that no config.json of the release says; they stand in our own section."""


def reads(config: Mapping[str, Any]) -> bool:
    """A config of InternVL's type that describes an audio encoder."""
    return config.get("model_type") == MODEL_TYPE and bool(config.get(AUDIO))


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """InternVL's reading of the folder, with ears."""
    base = official.read_config(folder, tokenizer, keys)
    config = Section.of(folder / CONFIG_FILE)
    audio = read_audio(config.section(AUDIO), config.part(SECTION).part("audio").content)
    fields = dict(base.family.model) | {
        "audio": audio,
        "audio_token_id": tokenizer.token_id(TOKENS.context),
    }
    model = config.build(OmniConfig, **fields)
    family = Family(**dict(base.family) | {"architecture": ARCHITECTURE, "model": model})
    table = KeyMap([*audio_rules(root_in(keys)), *base.keymap.rules])
    return replace(base, family=family, keymap=table)


def read_audio(config: Section, ours: Mapping[str, Any]) -> AudioConfig:
    """Whisper's config, of which the decoder's half is not read; `ours`: settings that it cannot say."""
    for key, value in FIXED.items():
        if key in config and config.content[key] != value:
            raise config.wrong(key, f"this is not supported; Whisper has {value!r}")
    said = {key: config.content[key] for key in WHISPER if key in config}
    return config.build(AudioConfig, **WHISPER | said | dict(ours))


def key_table(family: Family) -> KeyMap:
    """InternVL's table and that of sounds."""
    return KeyMap([*audio_rules(ROOTS[0]), *official.key_table(family).rules])


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json; ValueError for a decoder that no published class computes."""
    assert isinstance(family.model, OmniConfig)
    content, audio = official.config_of(family, tokenizer), family.model.audio
    whisper = {"model_type": "whisper", **audio.model_dump(include=set(WHISPER)), **FIXED}
    ours = content[SECTION] | {"audio": audio.model_dump(include=set(UNPUBLISHED))}
    return content | {"architectures": ["InternVLChatAudioModel"], AUDIO: whisper, SECTION: ours}


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """InternVL's files, with this config.json."""
    official.write_config(folder, family, tokenizer)
    write_json(folder / CONFIG_FILE, config_of(family, tokenizer))
