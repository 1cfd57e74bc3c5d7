"""MMMU's open answers: what an answer may have said, and whether the right one is among it."""

import re
from collections.abc import Iterable

_KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d+"),
    re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d+)(?![,\d])"),
)
"""With commas, with an exponent, plain: what the published expressions find, without their square time."""
Said = str | float


def said_in(prediction: str) -> list[Said]:
    """The shortest ends of lines behind a key word, and the numbers in them, normalised.

    Lines only: the published code means to split at sentences too, but has lowered the capitals it looks for.
    """
    lines = prediction.strip().strip(".").lower().split("\n")
    ends = [_shortest_end(line, last=at == len(lines) - 1) for at, line in enumerate(lines)]
    keys = [end for end in ends if end and end not in _TRIVIAL] or ["\n".join(lines)]
    numbers = [number for key in keys for form in _NUMBERS for number in form.findall(key)]
    return [value for text in keys + numbers for value in normalised(text)]


def normalised(text: str) -> list[Said]:
    """A number rounded to two places, else lower case; a single sign with a space before or behind it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def is_right(said: Iterable[Said], answers: Iterable[str]) -> bool:
    """Whether a right text occurs in one that is said, or a number equals one."""
    right = [value for answer in answers for value in normalised(answer)]
    texts = [value for value in right if isinstance(value, str)]
    return any(any(text in one for text in texts) if isinstance(one, str) else one in right for one in said)


def _shortest_end(line: str, last: bool) -> str | None:
    """The shortest text behind the last of a key word; in the last line `=` is one too."""
    shortest = None
    for key in (*_KEYS, "=") if last else _KEYS:
        if key in line:
            end = line.rsplit(key, 1)[1].strip()
            shortest = end if not shortest or len(end) < len(shortest) else shortest
    return shortest
