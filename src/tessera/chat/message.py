"""Conversations as values: messages made of text, picture, video and sound parts at any position.

A part stands exactly where its placeholder stood. Nothing here adds labels or line breaks by itself;
`ask` builds the labelled form that the released models were trained on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import PIL.Image

from tessera.audio.sources import SoundSource
from tessera.imaging.pictures.reading import PictureReading

Role = Literal["system", "user", "assistant"]
PictureSource = str | Path | bytes | PIL.Image.Image
ClipSource = str | Path | tuple[PictureSource, ...]


@dataclass(frozen=True)
class Text:
    """Plain words. Special strings of the model inside it are text, never control tokens."""

    text: str


@dataclass(frozen=True)
class Image:
    """One picture: a path, encoded bytes or a decoded picture. `max_tiles` overrides the encoder's limit.

    `tiles` asks for exactly so many, the thumbnail included, as a `num_patches_list` of the model cards does.
    `joined` are further pictures whose tiles follow under the same placeholder, the cards' combined pictures,
    of at most `joined_tiles` each (None: as many as the first).
    `reading`: how the files become RGB; None leaves it to the encoder.
    """

    source: PictureSource
    max_tiles: int | None = None
    tiles: int | None = None
    joined: tuple[PictureSource, ...] = ()
    joined_tiles: int | None = None
    reading: PictureReading | None = None


@dataclass(frozen=True)
class Video:
    """One clip: a file, a folder of frames or the frames as pictures; `start` and `end` in seconds bound it.

    frames: how many are taken. fps: so many a second instead, and no more than `frames`. picked: the numbers
    of the frames instead of any rule. reading: how frames that are pictures become RGB; None leaves it to the
    encoder.
    """

    source: ClipSource
    start: float | None = None
    end: float | None = None
    frames: int | None = None
    fps: float | None = None
    picked: tuple[int, ...] | None = None
    reading: PictureReading | None = None

    def __post_init__(self) -> None:
        if isinstance(self.source, list):  # what people write; a tuple can be remembered
            object.__setattr__(self, "source", tuple(self.source))


@dataclass(frozen=True)
class Audio:
    """One sound: a file of any kind, that of a video included, or its bytes; `start` and `end` in seconds."""

    source: SoundSource
    start: float | None = None
    end: float | None = None


Medium = Image | Video | Audio
Part = Text | Medium


def kind_of(part: Medium) -> Literal["image", "video", "audio"]:
    """The word that records and messages have for it."""
    return "image" if isinstance(part, Image) else "video" if isinstance(part, Video) else "audio"


@dataclass(frozen=True)
class Message:
    """One turn. `trained` says whether an assistant turn is supervised; other roles never are.

    end_trained: whether the token that ends such a turn is supervised with its words.
    """

    role: Role
    parts: tuple[Part, ...]
    trained: bool = True
    end_trained: bool = True

    @property
    def text(self) -> str:
        """The text parts joined, media left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def empty(self) -> bool:
        """Whether there are neither words nor media."""
        return not any(part.text if isinstance(part, Text) else True for part in self.parts)


@dataclass(frozen=True)
class Conversation:
    """Messages in order. A leading system message replaces the template's system text.

    alternatives: other answers in place of the last message. In a preference pair the last message is the
    chosen answer and the one alternative the rejected one.
    """

    messages: tuple[Message, ...]
    alternatives: tuple[Message, ...] = ()

    @property
    def answers(self) -> tuple[Message, ...]:
        """All answers to one prompt, the chosen one first; none where there is but one."""
        return (self.messages[-1], *self.alternatives) if self.alternatives else ()

    def each_answer(self) -> tuple[Conversation, ...]:
        """A conversation for each answer, or this one where there is but one."""
        if not self.alternatives:
            return (self,)
        return tuple(Conversation((*self.messages[:-1], answer)) for answer in self.answers)

    @property
    def media(self) -> tuple[Medium, ...]:
        """Pictures, clips and sounds in the order in which the model meets them."""
        return tuple(p for m in self.messages for p in m.parts if not isinstance(p, Text))

    def share_tiles(self, limit: int) -> int:
        """Tiles of each picture when all pictures of the conversation share a limit: at least one.

        InternVL trains and evaluates N pictures with `max(1, max_num // N)` tiles each
        (docs/facts/imaging.md).
        """
        pictures = sum(isinstance(part, Image) for message in self.messages for part in message.parts)
        return max(1, limit // max(1, pictures))

    def limited(self, max_tiles: int) -> Conversation:
        """The conversation in which pictures without a limit of their own have this one."""

        def limit(part: Part) -> Part:
            if isinstance(part, Image) and part.max_tiles is None:
                return replace(part, max_tiles=max_tiles)
            return part

        return self.map_parts(limit)

    def map_parts(self, change: Callable[[Part], Part]) -> Conversation:
        """The conversation with every part changed."""

        def changed(messages: tuple[Message, ...]) -> tuple[Message, ...]:
            return tuple(replace(m, parts=tuple(map(change, m.parts))) for m in messages)

        return Conversation(changed(self.messages), changed(self.alternatives))


def say(role: Role, text: str) -> Message:
    """A message of words only."""
    return Message(role, (Text(text),))


IMAGE_MARK, VIDEO_MARK, AUDIO_MARK = "<image>", "<video>", "<audio>"


def fill_marks(text: str, media: Mapping[str, Iterator[Medium]]) -> tuple[Part, ...]:
    """A text cut at those marks that `media` knows, each of which takes the next of its media."""
    pieces = filter(None, re.split(f"({'|'.join(media)})", text) if media else [text])
    return tuple(next(media[piece]) if piece in media else Text(piece) for piece in pieces)


def with_line_breaks(parts: Iterable[Part], bare: Collection[int] = ()) -> tuple[Part, ...]:
    r"""A line break behind every picture, clip and sound, where none follows, as in training (`<image>\n`).

    bare: numbers of texts in front of which none is added.
    """
    out: list[Part] = []
    for number, part in enumerate(parts):
        broken = isinstance(part, Text) and (part.text.startswith("\n") or number in bare)
        if out and not isinstance(out[-1], Text) and not broken:
            out.append(Text("\n"))
        out.append(part)
    return (*out, Text("\n")) if out and not isinstance(out[-1], Text) else tuple(out)


def as_clips(videos: Iterable[Video | str | Path]) -> list[Video]:
    """Clips, those given as files with nothing said about them."""
    return [video if isinstance(video, Video) else Video(video) for video in videos]


def as_sounds(audios: Iterable[Audio | SoundSource]) -> list[Audio]:
    """Sounds, those given as files with nothing said about them."""
    return [audio if isinstance(audio, Audio) else Audio(audio) for audio in audios]


def ask(
    question: str,
    images: Sequence[PictureSource] = (),
    videos: Sequence[Video | str | Path] = (),
    audios: Sequence[Audio | SoundSource] = (),
) -> Message:
    r"""A user message with media in front of the question, labelled as in training (docs/facts/imaging.md).

    One picture gives `<image>\nquestion`; several give `Image-1: <image>\nImage-2: <image>\nquestion`;
    a video part expands to labelled frames, one a line, in the encoder; sounds come last.
    """
    parts: list[Part] = []
    for index, source in enumerate(images, start=1):
        if len(images) > 1:
            parts.append(Text(f"Image-{index}: "))
        parts += [Image(source), Text("\n")]
    for clip in as_clips(videos):
        parts += [clip, Text("\n")]
    for sound in as_sounds(audios):
        parts += [sound, Text("\n")]
    return Message("user", (*parts, Text(question)))
