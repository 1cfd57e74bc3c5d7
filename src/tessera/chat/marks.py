r"""Marks in texts: which stand for a medium, which are words, and how other tools write theirs.

Words are trained and asked as characters. Marks are looked for in questions only (docs/facts/templates.md).
"""

import re
from collections.abc import Iterable, Iterator

from tessera.chat.message import AUDIO_MARK, IMAGE_MARK, VIDEO_MARK

_LABEL = r"(?:(?:image|picture|frame|video|clip|audio|sound)[ -]?\d*[ ]?:[ ]?)?"
_ANY = f"(?:{IMAGE_MARK}|{VIDEO_MARK}|{AUDIO_MARK})"
_PLACES = {
    mark: re.compile(
        rf"\A\s*(?:{_ANY}\s*)*{_LABEL}{mark}|^[ \t]*{_LABEL}(?:{_ANY}[ \t]*)*{mark}[ \t]*(?:{_ANY}[ \t]*)*$",
        re.IGNORECASE | re.MULTILINE,
    )
    for mark in (IMAGE_MARK, VIDEO_MARK, AUDIO_MARK)
}
"""A mark in front of all words, or on a line of its own; other marks may stand beside it."""

_SHAPES = (
    r"<[|｜]\s?(?:[a-z]{1,12}_){0,3}MEDIUMs?(?:_[a-z]{1,12}|[_ -]?\d{1,4}){0,3}\s?[|｜]>",
    r"</?\s?MEDIUM[ _-]?\#?\d{1,4}\s?/?>",
    r"<(?:MEDIUM|im)[_ ]?(?:here|context|placeholder|(?:soft_)?token|pad|patch|start|end|embed)s?>",
    r"<(?:start|end|begin)_of_MEDIUM>",
    # As types of a programming language these follow a name: List<Image>.
    r"(?<![A-Za-z0-9_])<\s{0,3}(?:image|img|video|vid)s?\s{0,3}/?>",
    r"</\s?(?:image|img)\s?>|(?<=<video>)</video>",
    # So do indices, and names of a shell: data[image], ${image}.
    r"(?<![\w\]).$])\[/?MEDIUM(?:[_ -]?\d{1,4}|_(?:start|end|break|pad|token)){0,2}\]",
    r"(?<![\w$])\{{1,2}MEDIUM(?:_?\d{1,4}|_placeholder|_token)?\}{1,2}",
)
_MEDIUM = "(?:image|img|video|vid|picture|pic|photo|frame|clip|vision|visual|media)"
_OPENING = re.compile(r"[<\[{]")
_FOREIGN = re.compile("|".join(_SHAPES).replace("MEDIUM", _MEDIUM), re.IGNORECASE)


def in_place(text: str, mark: str) -> bool:
    """Whether a mark begins a text, or stands on a line of its own (a label as `Image-1:` may lead it).

    There it asks for a file. Within a sentence it may be a word.
    """
    return mark in text and _PLACES[mark].search(text) is not None


def count_asking(texts: Iterable[str], mark: str, media: int) -> int:
    """How many marks of questions ask for media, `media` of which there are.

    All of them; but where there are no media and every mark stands within a sentence, all are words.
    """
    texts = [text for text in texts if mark in text]
    if not media and not any(_PLACES[mark].search(text) for text in texts):
        return 0
    return sum(text.count(mark) for text in texts)


def foreign_marks(text: str) -> Iterator[tuple[str, int]]:
    """Every mark that other tools write for a picture or clip, and the number of its first character."""
    for opening in _OPENING.finditer(text):  # much faster than to try every character
        match = _FOREIGN.match(text, opening.start())
        if match is not None and match[0] not in _PLACES:
            yield match[0], match.start() + 1
