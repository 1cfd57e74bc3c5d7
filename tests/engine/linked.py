"""A tiny model with two link tokens and random weights."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Conversation, ask
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.links.weights import begin_links
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.families.catalogue import fresh
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.links.config import LinkConfig, LinkToken, MaskDecoderConfig
from tessera.models.vlm import VLM
from tests.engine import tiny

LINKS = LinkConfig(
    tokens=(
        LinkToken(token="[SEG]", queries=3, width=16, decoder="masks"),
        LinkToken(token="[GEN]", queries=6, width=5, decoder="pictures"),
    ),
    masks=MaskDecoderConfig(width=16, heads=2, layers=1),
)


@functools.cache
def tokenizer() -> Tokenizer:
    return tiny.tokenizer().with_added(("[SEG]", "[GEN]"))


@functools.cache
def family() -> Family:
    return fresh("nano_model", tokenizer()).model_copy(update={"links": LINKS})


@functools.cache
def model() -> VLM:
    """As `tiny.model`, with queries as large as its words."""
    built = VLM(family().model).eval()
    initialise(built, 3)
    with torch.no_grad():
        built.decoder.lm_head.weight.mul_(8.0)
        built.connector.linear_2.weight.mul_(8.0)
        for layer in built.decoder.layers:
            layer.self_attn.o_proj.weight.mul_(4.0)  # type: ignore[union-attr, operator]
            layer.mlp.down_proj.weight.mul_(4.0)  # type: ignore[union-attr, operator]
    begin_links(built, family(), seed=7)
    built.links.eval()  # type: ignore[union-attr]
    return built


def encoder() -> Encoder:
    return family().encoder(tokenizer())


def engine(limits: EngineLimits | None = None, max_batch: int = 64) -> Engine:
    encode = encoder()
    limits = limits or EngineLimits()
    return Engine(model(), tokenizer(), encode.stop_ids, max_batch, limits=limits, slots=encode.slots)


def prompts() -> list[Encoded]:
    """Text alone, one tile, many tiles, two pictures; the first stands there twice."""
    asked = [
        ask("how many circles are there", ()),
        ask("the red circle?", (tiny.picture(1),)),
        ask("blue", (tiny.picture(2, 60, 30),)),
        ask("which is red", (tiny.picture(3), tiny.picture(4, 30, 60))),
        ask("how many circles are there", ()),
    ]
    return [encoder().encode(Conversation((message,)), generate=True) for message in asked]


def saved(folder: Path) -> Path:
    """The model as a checkpoint."""
    return save_checkpoint(folder, model(), family(), tokenizer())
