"""LMDeploy's spellings of a question: text, (text, pictures), or messages, all as a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tessera.chat.message import IMAGE_MARK, Conversation
from tessera.engine.request import ChatRequest
from tessera.imaging.pictures.sources import on_the_web
from tessera.runtime.shown import shown

IMAGE_TOKEN = "<IMAGE_TOKEN>"
"""What stands for a picture in texts of LMDeploy's users; `<image>` does, too."""
PICTURE_PARTS = {"image_url", "image", "image_data"}


def is_one(prompts: Any) -> bool:
    """Whether this is one question, and not a list of them."""
    if isinstance(prompts, list):
        return bool(prompts) and isinstance(prompts[0], Mapping)
    return isinstance(prompts, str | Conversation) or (isinstance(prompts, tuple) and len(prompts) == 2)


def read_prompt(prompt: Any, most_tiles: int, increment: float) -> Conversation:
    """The question as a conversation. Every picture of a pair may have `most_tiles` tiles, as there."""
    if isinstance(prompt, list):
        given: dict[str, Any] = {"question": [_message(number, entry) for number, entry in enumerate(prompt)]}
    elif isinstance(prompt, str):
        given = {"question": prompt}
    elif isinstance(prompt, tuple) and len(prompt) == 2:
        text, pictures = prompt if _is_text(prompt[0]) else reversed(prompt)
        if not _is_text(text):
            raise ValueError(f"prompts: {shown(prompt)} has no text; give (text, pictures)")
        given = {"question": text.replace(IMAGE_TOKEN, IMAGE_MARK), "pictures": pictures}
    elif isinstance(prompt, Conversation):
        return prompt
    else:
        raise ValueError(f"prompts: {shown(prompt)} is neither text, (text, pictures) nor a list of messages")
    return ChatRequest.read(most_tiles, given, increment).conversation


def _is_text(value: object) -> bool:
    """Whether it is said, and not shown: addresses are pictures, also in the first place."""
    return isinstance(value, str) and not (on_the_web(value) or value.startswith("data:"))


def _message(number: int, entry: Any) -> Any:
    """A message in which pictures stand at their marks, and limits of tiles have our name."""
    content = entry.get("content") if isinstance(entry, Mapping) else None
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        return entry
    parts = [_part(part) for part in content]
    pictures = [part for part in parts if part.get("type") in PICTURE_PARTS]
    marks = sum(str(part.get("text", "")).count(IMAGE_TOKEN) for part in parts)
    if not marks:
        return {**entry, "content": parts}
    if marks != len(pictures):
        counts = f"{marks} {IMAGE_TOKEN} for {len(pictures)} pictures"
        raise ValueError(f"messages[{number}]: {counts}; write one for each, or none")
    left = iter(pictures)
    placed: list[Mapping[str, Any]] = []
    for part in parts:
        if part.get("type") in PICTURE_PARTS:
            continue
        first, *others = str(part.get("text", "")).split(IMAGE_TOKEN)
        placed.append({**part, "text": first})
        for words in others:
            placed += [next(left), {**part, "text": words}]
    return {**entry, "content": [part for part in placed if part.get("text") != ""]}


def _part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part with our names: `max_dynamic_patch` is a limit of tiles, `image_data` a decoded picture."""
    kind = part.get("type")
    named = part.get(str(kind))
    if kind == "image_data" and isinstance(named, Mapping):
        rest = {name: value for name, value in named.items() if name != "data"}
        return _part({"type": "image", "image": named.get("data"), **rest})
    if isinstance(named, Mapping) and "max_dynamic_patch" in named:
        own = {name: value for name, value in named.items() if name != "max_dynamic_patch"}
        return {**part, str(kind): {**own, "max_tiles": named["max_dynamic_patch"]}}
    if "max_dynamic_patch" in part:
        own = {name: value for name, value in part.items() if name != "max_dynamic_patch"}
        return {**own, "max_tiles": part["max_dynamic_patch"]}
    return part


def rounds(prompts: Any) -> Sequence[Any]:
    """The questions of a call, one or many."""
    if is_one(prompts):
        return [prompts]
    if not isinstance(prompts, list | tuple):
        raise ValueError(f"prompts: {shown(prompts)} is neither a question nor a list of questions")
    return prompts
