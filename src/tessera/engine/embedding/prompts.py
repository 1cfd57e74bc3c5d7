"""Prompts around the names of classes: the published ones of five languages, and those of a user's file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from tessera.checkpoints.shipped import assets_folder
from tessera.runtime.json_file import read_object
from tessera.runtime.shown import shown

Language = Literal["en", "zh", "ja", "ar", "it"]
"""Languages whose prompts were published for ImageNet (docs/facts/embedding.md)."""
PLACE = "{c}"
"""Where the class stands in a prompt."""
MOST_PROMPTS = 10_000


@cache
def published_prompts(language: Language) -> tuple[str, ...]:
    """The prompts of one language, in their published order. ValueError for another language."""
    if language not in get_args(Language):
        known = ", ".join(get_args(Language))
        raise ValueError(f"language = {shown(language)}: prompts were published for {known}; give your own")
    return tuple(read_object(assets_folder() / "zero_shot" / f"{language}.json")["templates"])


def read_prompts(file: Path) -> tuple[str, ...]:
    """A user's prompts: one a line, or a JSON list. ValueError naming the first without `{c}`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        prompts = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"prompts: {shown(file)} cannot be read ({shown(error)})") from error
    return checked_prompts([one for one in prompts if not isinstance(one, str) or one.strip()])


def checked_prompts(prompts: list[object] | tuple[object, ...]) -> tuple[str, ...]:
    """The same as a tuple. ValueError for none, too many, or one in which the class stands nowhere."""
    if not 1 <= len(prompts) <= MOST_PROMPTS:
        raise ValueError(f"prompts: {len(prompts)} given; give 1 to {MOST_PROMPTS:,}")
    for prompt in prompts:
        if not isinstance(prompt, str) or PLACE not in prompt:
            raise ValueError(f"prompts: {shown(prompt)} has no {PLACE}, where the name of the class stands")
    return tuple(map(str, prompts))


def fill(prompts: tuple[str, ...], name: str) -> list[str]:
    """Every prompt with the class in its place."""
    return [prompt.replace(PLACE, name) for prompt in prompts]
