"""A tiny model with random weights, and prompts with and without pictures."""

from __future__ import annotations

import functools

import PIL.Image
import torch

from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Conversation, Video, ask
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.families.catalogue import fresh
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM

WORDS = [
    "the red circle is left of the blue square",
    "how many circles are there",
    "Größe 🙂 图片里有几只动物",
]


@functools.cache
def tokenizer() -> Tokenizer:
    """A byte-level tokenizer: random models spell every kind of broken UTF-8 with it."""
    return train_tokenizer(WORDS * 4, 300)


@functools.cache
def family() -> Family:
    """The nano model fitted to the tokenizer."""
    return fresh("nano_model", tokenizer())


@functools.cache
def model() -> VLM:
    """Random weights, wide enough apart that answers differ and pictures matter."""
    built = VLM(family().model).eval()
    initialise(built, 3)
    with torch.no_grad():
        built.decoder.lm_head.weight.mul_(8.0)
        built.connector.linear_2.weight.mul_(8.0)
        for layer in built.decoder.layers:
            layer.self_attn.o_proj.weight.mul_(4.0)  # type: ignore[union-attr, operator]
            layer.mlp.down_proj.weight.mul_(4.0)  # type: ignore[union-attr, operator]
    return built


def encoder() -> Encoder:
    """The encoder of the nano model."""
    return family().encoder(tokenizer())


def picture(seed: int, width: int = 16, height: int = 16) -> PIL.Image.Image:
    """Coloured noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    return PIL.Image.fromarray(noise.numpy())


def prompt(question: str, *pictures: PIL.Image.Image, video: int = 0) -> Encoded:
    """A user message with pictures, or a clip of so many frames, ready for an answer."""
    clips = [Video(tuple(picture(90 + i) for i in range(video)))] if video else []
    return encoder().encode(Conversation((ask(question, pictures, clips),)), generate=True)


def mixed_prompts() -> list[Encoded]:
    """Text only, one tile, many tiles, two pictures, a clip."""
    return [
        prompt("how many circles are there"),
        prompt("the red circle?", picture(1)),
        prompt("blue", picture(2, 60, 30)),
        prompt("which is red", picture(3), picture(4, 30, 60)),
        prompt("left?", video=3),
        prompt("is"),
    ]
