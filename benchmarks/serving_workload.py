"""What the clients of `serving.py` ask: half with pictures, a third of those seen before, and when."""

from __future__ import annotations

import base64
import io
import random
from typing import Any

import PIL.Image

from tessera.playground.scene import draw_scene

SEEN_BEFORE = 1 / 3
"""Of the pictures."""
Body = dict[str, Any]
Size = tuple[int, int]


def bodies(
    count: int, sizes: list[tuple[int, int]], lengths: list[int], texts: bool, seed: int
) -> list[Body]:
    """Chat completions about drawn scenes. Answers have drawn lengths and no end of their own.

    sizes: of pictures, in pixels. texts: without any picture. seed: other numbers give other pictures.
    """
    draw = random.Random(seed)
    known: list[dict[str, Any]] = []
    found = []
    for number in range(count):
        scene = draw_scene("shapes", seed=seed * 100_000 + number, size=draw.choice(sizes))
        parts: list[dict[str, Any]] = [{"type": "text", "text": scene.questions[0].text}]
        if number % 2 and not texts:
            if not known or draw.random() >= SEEN_BEFORE:
                known.append(shown(scene.media[0].source))
                parts.insert(0, known[-1])
            else:
                parts.insert(0, draw.choice(known))
        body = {"messages": [{"role": "user", "content": parts}], "max_tokens": draw.choice(lengths)}
        found.append(body | {"temperature": 0.0})
    return found


def arrivals(count: int, a_second: float, seed: int) -> list[float]:
    """Seconds at which a Poisson process has its first events."""
    draw, now, found = random.Random(seed), 0.0, []
    for _ in range(count):
        now += draw.expovariate(a_second)
        found.append(now)
    return found


def shown(picture: object) -> dict[str, Any]:
    """A part of a message that shows a picture."""
    assert isinstance(picture, PIL.Image.Image)
    file = io.BytesIO()
    picture.save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": address}}
