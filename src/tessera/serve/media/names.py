"""Names of fields in messages: one that nobody reads is an error, for it would be lost without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from tessera.chat.openai import CLIPS, PICTURES, SOUNDS
from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault

HARMLESS = {"name", "refusal", "annotations", "audio", "function_call", "reasoning_content", "reasoning"}
"""Of an answer that comes back, or of no meaning to these models. A thought that comes back is left out."""
MESSAGE = {"role", "content", "tool_calls", "tool_call_id"} | HARMLESS
OPTIONS = {"url", "path", "detail", "max_tiles", "start", "end", "video_start", "video_end", "frames"}
OPTIONS |= {"nframes", "fps", "joined", "joined_tiles", "audio_start", "audio_end", "data", "format"}
PART = {"type", "text", "annotations", "cache_control", "line_break", *PICTURES, *CLIPS, *SOUNDS} | OPTIONS


def check_names(where: str, message: object) -> None:
    """ApiFault for a field of a message, or of a part of it, that has a value and that nobody reads."""
    for place, value, known in _objects(where, message):
        for name, told in value.items():
            if told is not None and name not in known:
                near = get_close_matches(str(name), known, 1, cutoff=0.75)
                hint = f"did you mean {near[0]}?" if near else "leave it out"
                detail = f"{shown(name, bare=True)} is no field here; {hint}"
                raise ApiFault(400, f"{place}: {detail}", "unknown_field", place)


def _objects(where: str, message: object) -> Iterator[tuple[str, Mapping[str, object], set[str]]]:
    """Every object of a message, and the names that it may have."""
    if not isinstance(message, Mapping):
        return
    yield where, message, MESSAGE
    content = message.get("content")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, Mapping):
            place = f"{where}.content[{number}]"
            yield place, part, PART
            for name in (*PICTURES, *CLIPS, *SOUNDS):
                if isinstance(named := part.get(name), Mapping):
                    yield f"{place}.{name}", named, OPTIONS
