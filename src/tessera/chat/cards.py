"""The model cards' call, `chat(question, history, num_patches_list)`, as a conversation
(docs/facts/templates.md).

The cards write `<image>` where a picture stands and pass the pictures of *all* turns, in order. Here the
pictures are files or decoded pictures instead of a tensor of tiles; the token ids come out the same.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tessera.chat.message import (
    IMAGE_MARK,
    VIDEO_MARK,
    Conversation,
    Image,
    Message,
    PictureSource,
    Video,
    as_clips,
    fill_marks,
    say,
)

History = Sequence[tuple[str, str]]
MISMATCH = (
    "{}: {} for {} {mark} marks in history and question; pass the {} of all turns in order and write {mark} "
    "where each one stands"
)


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
    for media, mark in ((videos, VIDEO_MARK), (pictures, IMAGE_MARK)):
        if media and mark not in question:
            question = f"{mark}\n{question}"
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
    marks, clip_marks = (sum(asked.count(m) for asked, _ in turns) for m in (IMAGE_MARK, VIDEO_MARK))
    images = _images(pictures, marks, num_patches_list, max_tiles)
    if clip_marks != len(videos):
        raise ValueError(MISMATCH.format("videos", len(videos), clip_marks, "clips", mark=VIDEO_MARK))
    media: dict[str, Iterator[Image | Video]]
    media = {IMAGE_MARK: iter(images), VIDEO_MARK: iter(as_clips(videos))}
    messages: list[Message] = [] if system is None else [say("system", system)]
    for asked, answer in turns:
        messages += [Message("user", fill_marks(asked, media)), say("assistant", answer)]
    return Conversation(tuple(messages[:-1]))


def _images(
    pictures: Sequence[PictureSource], marks: int, counts: Sequence[int] | None, max_tiles: int | None
) -> list[Image]:
    """One part a mark."""
    tiles: Sequence[int | None] = [None] * marks if counts is None else counts
    if len(tiles) != marks:
        raise ValueError(
            f"num_patches_list: {len(tiles)} entries for {marks} {IMAGE_MARK} marks in history and "
            "question; give one entry a mark"
        )
    if marks == 1 and len(pictures) > 1:
        first, *others = pictures
        return [Image(first, max_tiles, tiles[0], tuple(others))]
    if marks != len(pictures):
        raise ValueError(MISMATCH.format("pictures", len(pictures), marks, "pictures", mark=IMAGE_MARK))
    return [Image(source, max_tiles, count) for source, count in zip(pictures, tiles, strict=True)]
