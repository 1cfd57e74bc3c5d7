"""The words of a question on the command line: which of them are files, and which are said."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tessera.chat.message import Audio, PictureSource, Video
from tessera.chat.templates import THINKING
from tessera.cli.command import WordsCommand
from tessera.imaging.pictures.sources import is_address, picture_source
from tessera.runtime.shown import shown

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".avif", ".jp2"}
SOUNDS = {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".amr"}
CLIPS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".m4v", ".mpg", ".mpeg"}


Kind = Literal["image", "video", "audio"]


@dataclass(frozen=True)
class Media:
    """Files that go with the next question; clips and sounds are bounded as the command line says."""

    images: tuple[PictureSource, ...] = ()
    videos: tuple[Video, ...] = ()
    audios: tuple[Audio, ...] = ()
    bounds: Video = Video("")

    def __bool__(self) -> bool:
        return bool(self.images or self.videos or self.audios)

    @property
    def default_question(self) -> str:
        """What to ask about these files when nobody says."""
        if not (self.images or self.videos):
            return "what do you hear?"
        return f"describe the {'clip' if self.videos else 'pictures' if len(self.images) > 1 else 'picture'}."

    def with_file(self, name: str, kind: Kind | None = None) -> Media:
        """One file or address more; None tells what it is by its name. ValueError when it does not exist."""
        source = picture_source(name)
        if not isinstance(source, Path):
            return replace(self, images=(*self.images, source))
        if not source.exists():
            raise ValueError(f"{shown(source)}: no such file; check the path")
        ending = source.suffix.lower()
        if kind == "audio" or (kind is None and ending in SOUNDS):
            return replace(self, audios=(*self.audios, Audio(source, self.bounds.start, self.bounds.end)))
        if kind == "video" or (kind is None and (ending in CLIPS or source.is_dir())):
            return replace(self, videos=(*self.videos, replace(self.bounds, source=source)))
        return replace(self, images=(*self.images, source))

    def emptied(self) -> Media:
        """No files, the same bounds."""
        return Media(bounds=self.bounds)


@dataclass(frozen=True, kw_only=True)
class QuestionCommand(WordsCommand):
    """A command about a question."""

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[FILE ...] [QUESTION]")
    ] = ()
    """Pictures, clips or sounds, and the question."""
    start: float | None = None
    """Begin of the clips and sounds in seconds."""
    end: float | None = None
    """End of the clips and sounds in seconds."""
    frames: int | None = None
    """Frames taken from a clip; the model's own number by default."""
    fps: float | None = None
    """So many frames a second instead, and --frames at the most."""
    system: str | None = None
    """System text in place of the model's own."""
    think: bool = False
    """The published system text that asks for a thought in front of the answer (InternVL 3.5)."""

    @property
    def system_text(self) -> str | None:
        """What is said in place of the model's own. ValueError for two texts."""
        if self.think and self.system is not None:
            raise ValueError("--think is a system text of its own: leave --system out")
        return THINKING if self.think else self.system

    def media_and_question(self) -> tuple[Media, str]:
        """A word that is a file or an address, or is named like one, is media; the rest is the question."""
        media, said = Media(bounds=Video("", self.start, self.end, self.frames, self.fps)), []
        for word in self.words:
            named = Path(word).suffix.lower() in PICTURES | CLIPS | SOUNDS
            if named or os.path.exists(word) or _is_address(word):  # a long question is no error here
                media = media.with_file(word)
            else:
                said.append(word)
        return media, " ".join(said).strip()


def _is_address(word: str) -> bool:
    """Whether a word is an address or base64 of a picture; a question about one is none."""
    return is_address(word) and (" " not in word or word.lstrip()[:5].lower() == "data:")
