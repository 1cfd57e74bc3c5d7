"""What of a text is prose: code, formulas, boxes and links blanked out; words in any script."""

import re
from functools import lru_cache
from itertools import islice

CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
# What stands between two signs holds neither of them, and what was taken is not given back (`++`): so each
# pattern passes a text once, whatever is in it.
FORMULA = re.compile(
    r"\$\$.+?\$\$|\$[^$\n]+\$"
    r"|\\\[(?:[^\\]++|\\(?![\[\]]))++\\\]|\\\((?:[^\\]++|\\(?![()]))++\\\)",
    re.DOTALL,
)
BOX = re.compile(r"<box>(?:[^<]++|<(?!/?box>))*+</box>|<quad>(?:[^<]++|<(?!/?quad>))*+</quad>|</?ref>")
LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"'）)\]]+", re.IGNORECASE)
# Several rules in a row look at the same text, so the last few answers are kept: `lru_cache` below.
# A letter of a script written without spaces is a word of its own: Han, kana, Thai, Lao, Khmer, Myanmar.
_SPACELESS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
WORD = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")
SENTENCE_END = re.compile(r"(?<![.!?…。！？؟।])[.!?…。！？؟।]++[\"'”’)\]」』]*+(?=\s|$)|[。！？]|\n+")


def blank(pattern: re.Pattern[str], text: str) -> str:
    """The text with every match turned into as many spaces, so that positions stay."""
    return pattern.sub(lambda match: " " * len(match.group()), text)


@lru_cache(maxsize=4)
def prose(text: str) -> str:
    """The text without code, formulas and boxes; of the same length."""
    if "`" in text:
        text = blank(CODE, text)
    if "$" in text or "\\" in text:
        text = blank(FORMULA, text)
    return blank(BOX, text) if "<" in text else text


@lru_cache(maxsize=4)
def words(text: str) -> tuple[str, ...]:
    """The words in small letters; letters of scripts without spaces count singly, signs don't count."""
    return tuple(word.lower() for word in WORD.findall(text))


def word_span(text: str, first: int, last: int) -> tuple[int, int]:
    """Where the words number `first` to `last` (from 0) stand in the text."""
    spans = [match.span() for match in islice(WORD.finditer(text), first, last + 1)]
    return spans[0][0], spans[-1][1]
