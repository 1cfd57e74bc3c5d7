"""Whether an engine feeds the model what we would: some talks, and where the prompts part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.chat.encoder import Encoder
from tessera.chat.openai import read_messages
from tessera.peers.compare import Comparison, EnginePrompt, compare, our_prompt, with_tiles
from tessera.peers.engines import ServingEngine
from tessera.peers.server import Server

SIDES = {"square.png": (448, 448), "wide.png": (1344, 448), "tall.png": (300, 900)}
"""Pictures of the probes: one tile, several, and a shape that no grid meets exactly."""


@dataclass(frozen=True)
class Probed:
    """One talk and what both make of it; `fault` is set where the engine refused it."""

    what: str
    found: Comparison | None
    fault: str = ""

    @property
    def same(self) -> bool:
        """Whether the same is fed, as far as the engine shows it."""
        return self.found is not None and self.found.same


def talks(folder: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What is asked; writes its pictures into the folder."""
    for name, size in SIDES.items():
        PIL.Image.new("RGB", size, (90, 140, 40)).save(folder / name)

    def picture(name: str) -> dict[str, Any]:
        return {"type": "image", "image": str(folder / name)}

    def user(*parts: str | dict[str, Any]) -> dict[str, Any]:
        said = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
        return {"role": "user", "content": said}

    yield "text", [{"role": "user", "content": "What is a mosaic?"}]
    yield "system text", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    turns = ("user", "Hello"), ("assistant", "Hi."), ("user", " Two  spaces,\nthen 你好 🙂 ")
    yield "three turns", [{"role": role, "content": text} for role, text in turns]
    for name in SIDES:
        yield name.replace(".png", " picture"), [user(picture(name), "Describe it.")]
    yield "two pictures", [user(picture("square.png"), picture("tall.png"), "Compare them.")]
    yield "in place", [user("Is ", picture("square.png"), "in ", picture("wide.png"), "?")]


def probe(engine: ServingEngine, server: Server, encoder: Encoder, folder: Path) -> Iterator[Probed]:
    """Every talk, compared."""
    slot = encoder.tokenizer.token_id(encoder.template.tokens.context)
    for what, messages in talks(folder):
        conversation = read_messages(messages)
        try:
            theirs = _theirs(engine, server, messages, slot, len(conversation.media))
        except ValueError as error:
            yield Probed(what, None, str(error))
            continue
        ours = our_prompt(encoder, conversation)
        seen = with_tiles(theirs, encoder.tokenizer, encoder.tokens_per_tile)
        yield Probed(what, compare(ours, seen, encoder.tokenizer))


def _theirs(
    engine: ServingEngine, server: Server, messages: Sequence[dict[str, Any]], slot: int, pictures: int
) -> EnginePrompt:
    if engine.encodes and len(messages) == 1 and isinstance(messages[0]["content"], str):
        return server.encoded(messages[0]["content"])
    return server.prompt(messages, slot, pictures) if engine.tokenizes else server.counted(messages)
