"""A tiny model with ears and random weights, and sounds to ask it about."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from tessera.audio.wav import to_wav
from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Audio, Conversation, ask
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded
from tessera.engine.chat_model import ChatModel
from tessera.families.catalogue import get_family
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tests.engine import tiny


@functools.cache
def tokenizer() -> Tokenizer:
    return tiny.tokenizer().with_added(("<audio>", "</audio>", "<AUDIO_CONTEXT>"))


@functools.cache
def family() -> Family:
    return get_family("nano_omni").fitted(tokenizer())


@functools.cache
def model() -> VLM:
    """Wide enough apart that answers differ, and pictures and sounds matter."""
    built = VLM(family().model).eval()
    initialise(built, 3)
    with torch.no_grad():
        built.decoder.lm_head.weight.mul_(8.0)
        built.connector.linear_2.weight.mul_(8.0)  # type: ignore[operator, union-attr]
        built.audio_connector.linear_2.weight.mul_(40.0)
        built.audio.positions.mul_(0.1)
        for convolution in (built.audio.conv1, built.audio.conv2):
            convolution.weight.mul_(8.0)
        for layer in built.decoder.layers:
            layer.self_attn.o_proj.weight.mul_(4.0)  # type: ignore[union-attr, operator]
            layer.mlp.down_proj.weight.mul_(4.0)  # type: ignore[union-attr, operator]
    return built


def encoder() -> Encoder:
    return family().encoder(tokenizer())


def chat_model() -> ChatModel:
    """The model with an engine of its own."""
    said = {"family": family(), "tokenizer": tokenizer(), "folder": Path("nowhere")}
    return ChatModel(Loaded(**said, model=model(), encoder=encoder()))


@functools.cache
def sound(seconds: float, seed: int = 0) -> bytes:
    """A file with a tone in some noise; its height goes by the seed."""
    count = round(seconds * 16_000)
    tone = np.sin(2 * np.pi * (150 + 900 * seed) * np.arange(count) / 16_000)
    return to_wav(0.3 * tone + 0.01 * np.random.default_rng(seed).standard_normal(count))


def prompt(question: str, *sounds: bytes | Audio, pictures: tuple[PIL.Image.Image, ...] = ()) -> Encoded:
    """A question with pictures and sounds, ready for an answer."""
    return encoder().encode(Conversation((ask(question, pictures, audios=sounds),)), generate=True)
