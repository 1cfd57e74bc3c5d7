"""Sounds as people write them in messages: OpenAI's `input_audio`, vLLM's `audio_url`, and `audio`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tessera.audio.sources import base64_bytes
from tessera.runtime.shown import shown

FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "mp4", "aac", "webm")
"""What `format` may say; the content decides what is read."""


def inline_sound(value: object) -> bytes:
    """The bytes of `{"data": base64, "format": "wav"}`. ValueError that names the field and the remedy."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), str):
        raise ValueError(f'{shown(value)} holds no data; write {{"data": base64, "format": "wav"}}')
    form, data = value.get("format"), value["data"]
    if not isinstance(form, str) or form.lower() not in FORMATS:
        raise ValueError(f"format={shown(form)} is unknown; use one of {', '.join(FORMATS)}")
    if data.startswith("data:"):
        data = data.partition(",")[2]
    if not data:
        raise ValueError("data is empty; write the file's bytes in base64")
    return base64_bytes(data)


def bounds_in(options: Mapping[str, Any]) -> tuple[Any, Any]:
    """`start` and `end` in seconds, under these names or with `audio_` in front; None where not said."""
    start, end = (
        next((options[k] for k in (key, f"audio_{key}") if options.get(k) is not None), None)
        for key in ("start", "end")
    )
    return start, end
