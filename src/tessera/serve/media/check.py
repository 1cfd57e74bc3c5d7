"""How large pictures, clips and sounds are, before anything is decoded."""

from __future__ import annotations

from tessera.audio.decode import sound_length
from tessera.chat.message import Audio, Conversation, Image, PictureSource, Video
from tessera.imaging.clips.container import ClipError, VideoLimits
from tessera.imaging.decode import DecodeLimits, name_of, read_size
from tessera.imaging.video import probe_video
from tessera.serve.faults import ApiFault
from tessera.serve.settings import ServeLimits


def check_media(talk: Conversation, limits: ServeLimits) -> None:
    """ApiFault for a picture or clip beyond the limits; ValueError for an unreadable header."""
    for part in talk.media:
        if isinstance(part, Image):
            _check_pictures((part.source, *part.joined), limits)
        elif isinstance(part, Audio):
            sound_length(part.source, part.start, part.end)
        elif isinstance(part.source, tuple):
            _check_pictures(part.source, limits)
        else:
            _check_clip(part, limits)


def _check_pictures(sources: tuple[PictureSource, ...], limits: ServeLimits) -> None:
    for source in sources:
        width, height = read_size(source)
        if width * height > limits.pixels:
            message = f"picture {name_of(source)}: {width}x{height} pixels are more than {limits.pixels:,}"
            raise ApiFault(400, f"{message} (limits.pixels); scale it down", "too_many_pixels")


def _check_clip(clip: Video, limits: ServeLimits) -> None:
    most = VideoLimits(
        max_pixels=limits.pixels,
        max_volume=limits.clip_pixels,
        stills=DecodeLimits(max_pixels=min(limits.pixels, DecodeLimits().max_pixels)),
    )
    try:
        probe_video(clip.source, most)
    except ClipError as error:
        if error.fault != "huge":
            raise
        message = f"{error} (limits.pixels and limits.clip_pixels of the server)"
        raise ApiFault(400, message, "clip_too_large") from error
