"""The model cards' call, `chat(question, history, num_patches_list)`, as a conversation (facts 3.2).

The cards write `<image>` where a picture stands and pass the pictures of *all* turns, in order. Here the
pictures are files or decoded pictures instead of a tensor of tiles; the token ids come out the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tessera.chat.message import Conversation, Image, Message, Part, PictureSource, Text, Video, say

IMAGE_MARK, VIDEO_MARK = "<image>", "<video>"
_MARKS = re.compile(f"({IMAGE_MARK}|{VIDEO_MARK})")

History = Sequence[tuple[str, str]]


def card_question(
    question: str,
    pictures: Sequence[PictureSource] = (),
    history: History | None = None,
    videos: Sequence[Video | str | Path] = (),
) -> str:
    r"""The question as the cards' code asks it, and as it enters the history: with `<image>\n` in front.

    Only the first call of a talk (no history) that passes pictures and names none gets the mark; `<video>\n`,
    which the cards do not know, follows the same rule.
    """
    if history is not None:
        return question
    if videos and VIDEO_MARK not in question:
        question = f"{VIDEO_MARK}\n{question}"
    if pictures and IMAGE_MARK not in question:
        question = f"{IMAGE_MARK}\n{question}"
    return question


def from_card_call(
    question: str,
    pictures: Sequence[PictureSource] = (),
    history: History | None = None,
    num_patches_list: Sequence[int] | None = None,
    *,
    max_tiles: int | None = None,
    system: str | None = None,
    videos: Sequence[Video | str | Path] = (),
) -> Conversation:
    """The conversation of `model.chat(tokenizer, pixel_values, question, config, history, ...)`.

    pictures: of all turns, in the order of their `<image>` marks. One mark for several pictures joins their
    tiles under one placeholder (the cards' combined pictures); otherwise every mark takes one picture.
    num_patches_list: tiles of each mark; checked when the conversation is encoded. max_tiles: `max_num` of
    the cards' `load_image` (they give 12 to every picture); None divides the model's limit as in training.
    videos: clips for `<video>` marks, beyond what the cards offer. Raises ValueError with both counts when
    marks and pictures do not match.
    """
    turns = [*(history or ()), (card_question(question, pictures, history, videos), "")]
    for index, (_, answer) in enumerate(turns):
        if IMAGE_MARK in answer:
            raise ValueError(
                f"history[{index}]: the answer holds {IMAGE_MARK!r}, which the cards' code would take for a "
                "picture; remove it from the answer"
            )
    marks = sum(asked.count(IMAGE_MARK) for asked, _ in turns)
    images = iter(_images(pictures, marks, num_patches_list, max_tiles))
    clips = iter(_clips(videos, sum(asked.count(VIDEO_MARK) for asked, _ in turns)))
    messages: list[Message] = [] if system is None else [say("system", system)]
    for asked, answer in turns:
        messages += [Message("user", _parts(asked, images, clips)), say("assistant", answer)]
    return Conversation(tuple(messages[:-1]))


def _images(
    pictures: Sequence[PictureSource], marks: int, counts: Sequence[int] | None, max_tiles: int | None
) -> list[Image]:
    """One part a mark."""
    if counts is not None and len(counts) != marks:
        raise ValueError(
            f"num_patches_list: {len(counts)} entries for {marks} {IMAGE_MARK} marks in history and "
            "question; give one entry a mark"
        )
    if marks == 1 and len(pictures) > 1:
        first, *others = pictures
        return [Image(first, max_tiles, None if counts is None else counts[0], tuple(others))]
    if marks != len(pictures):
        raise ValueError(
            f"pictures: {len(pictures)} for {marks} {IMAGE_MARK} marks in history and question; pass the "
            f"pictures of all turns in order and write {IMAGE_MARK} where each one stands"
        )
    tiles: Sequence[int | None] = [None] * marks if counts is None else counts
    return [Image(source, max_tiles, count) for source, count in zip(pictures, tiles, strict=True)]


def _clips(videos: Sequence[Video | str | Path], marks: int) -> list[Video]:
    if marks != len(videos):
        raise ValueError(
            f"videos: {len(videos)} for {marks} {VIDEO_MARK} marks in history and question; pass the clips "
            f"of all turns in order and write {VIDEO_MARK} where each one stands"
        )
    return [video if isinstance(video, Video) else Video(video) for video in videos]


def _parts(text: str, images: Iterator[Image], clips: Iterator[Video]) -> tuple[Part, ...]:
    """A question cut at its marks."""
    parts: list[Part] = []
    for piece in _MARKS.split(text):
        if piece == IMAGE_MARK:
            parts.append(next(images))
        elif piece == VIDEO_MARK:
            parts.append(next(clips))
        elif piece:
            parts.append(Text(piece))
    return tuple(parts)
