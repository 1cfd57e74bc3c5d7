r"""The model cards' call, `chat(question, history, num_patches_list)`, as a conversation
(docs/facts/templates.md).

The cards write `<image>` where a picture stands and pass the pictures of *all* turns, in order. Here the
pictures are files or decoded pictures instead of a tensor of tiles; the token ids come out the same.

Where no medium is given, marks are words, as in the authors' code, and so are marks in answers,
which their older templates take for pictures. The history remembers which marks were words (`Asked`).
"""

import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Self

from tessera.audio.sources import SoundSource
from tessera.chat.marks import count_asking, in_place
from tessera.chat.message import (
    AUDIO_MARK,
    IMAGE_MARK,
    VIDEO_MARK,
    Audio,
    Conversation,
    Image,
    Medium,
    Message,
    PictureSource,
    Video,
    as_clips,
    as_sounds,
    fill_marks,
    say,
)

History = Sequence[tuple[str, str]]
MISMATCH = (
    "{}: {} for {} {mark} marks in history and question; pass the {} of all turns in order and write {mark} "
    "where each one stands; where a mark is a word, ask with messages, whose texts hold no marks"
)
ALONE = "the question has a mark where a picture, clip or sound would stand, but none is given: it is words"
Sounds = Sequence[Audio | SoundSource]


class Asked(str):
    """A question of a history, in which the marks `words` stand for nothing: no such media had been given."""

    words: frozenset[str]

    def __new__(cls, text: str, words: Collection[str] = ()) -> Self:
        """The text, which is all that is compared and printed."""
        asked = super().__new__(cls, text)
        asked.words = frozenset(words)
        return asked


def words_of(asked: str) -> frozenset[str]:
    """The marks that are known to be words in a question."""
    return asked.words if isinstance(asked, Asked) else frozenset()


def card_question(
    question: str,
    pictures: Sequence[PictureSource] = (),
    history: History | None = None,
    videos: Sequence[Video | str | Path] = (),
    audios: Sounds = (),
) -> str:
    r"""The question as the cards' code asks it, and as it enters the history: with `<image>\n` in front.

    Only the first call of a talk (no history) that passes pictures and names none gets the mark; `<video>\n`,
    which the cards do not know, follows the same rule, and so does `<audio>\n`, behind a picture's
    (docs/facts/audio.md).
    """
    if history is not None:
        return question
    for media, mark in ((audios, AUDIO_MARK), (videos, VIDEO_MARK), (pictures, IMAGE_MARK)):
        if media and mark not in question:
            # One mark joins several pictures; sounds are told apart.
            question = f"{mark}\n" * (len(audios) if mark == AUDIO_MARK else 1) + question
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
    audios: Sounds = (),
) -> Conversation:
    """The conversation of `model.chat(tokenizer, pixel_values, question, config, history, ...)`.

    pictures: of all turns, in the order of their `<image>` marks. One mark for several pictures joins their
    tiles under one placeholder (the cards' combined pictures); otherwise every mark takes one picture.
    num_patches_list: tiles of each mark; checked when the conversation is encoded. max_tiles: `max_num` of
    the cards' `load_image` (they give 12 to every picture); None divides the model's limit as in training.
    videos: clips for `<video>` marks, beyond what the cards offer; audios: sounds for `<audio>` marks. Raises
    ValueError with both counts when marks and media do not match.
    """
    turns = [*(history or ()), (card_question(question, pictures, history, videos, audios), "")]
    shown = {IMAGE_MARK: len(pictures), VIDEO_MARK: len(videos), AUDIO_MARK: len(audios)}
    asking, given = dict.fromkeys(shown, 0), any(shown.values())
    for mark, count in shown.items() if given else ():
        texts = [asked for asked, _ in turns if mark not in words_of(asked)]
        asking[mark] = count_asking(texts, mark, count)
    if not given and any(in_place(question, mark) for mark in shown):
        warnings.warn(ALONE, stacklevel=2)
    images = _images(pictures, asking[IMAGE_MARK], num_patches_list, max_tiles)
    for mark, name, what in ((VIDEO_MARK, "videos", "clips"), (AUDIO_MARK, "audios", "sounds")):
        if asking[mark] != shown[mark]:
            raise ValueError(MISMATCH.format(name, shown[mark], asking[mark], what, mark=mark))
    media: dict[str, Iterator[Medium]] = {
        IMAGE_MARK: iter(images),
        VIDEO_MARK: iter(as_clips(videos)),
        AUDIO_MARK: iter(as_sounds(audios)),
    }
    messages: list[Message] = [] if system is None else [say("system", system)]
    for asked, answer in turns:
        own = {mark: media[mark] for mark in media if asking[mark] and mark not in words_of(asked)}
        messages += [Message("user", fill_marks(asked, own)), say("assistant", answer)]
    return Conversation(tuple(messages[:-1]))


def card_history(turns: History, talk: Conversation) -> list[tuple[str, str]]:
    """The turns of a talk for the next call: questions remember which of their marks were words in it."""
    said = [message.text for message in talk.messages if message.role == "user"]
    words = [[mark for mark in (IMAGE_MARK, VIDEO_MARK, AUDIO_MARK) if mark in text] for text in said]
    marked = zip(turns, words, strict=True)
    return [(Asked(asked, own) if own else asked, answer) for (asked, answer), own in marked]


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
