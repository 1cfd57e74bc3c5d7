"""The letter that a long reply ends in, as VLMEvalKit's spatial benchmarks look for it."""

import re
from collections.abc import Sequence

LINES, SIGNS = 6, 800
"""How far from the end letters are looked for."""
_UNSEEN = re.compile("[\u200b\u200c\u200d\ufeff]")
_TAGGED = re.compile(
    r"<\s*answer\b[^>]*>\s*([A-Ja-j])(?:\s*[.．:：)\]】、])?.*?<\s*/\s*answer\s*>", re.IGNORECASE | re.DOTALL
)
_HELD = r"(?<![A-Za-z])[(\[{（【]?\s*([A-F])\s*[)\]}）】]?"
_BEFORE_END = [re.compile(rf"{_HELD}\s*</\s*{tag}\s*>", re.IGNORECASE) for tag in ("answer", "think")]
_THOUGHT = [re.compile(rf"<{slash}\s*think\s*>", re.IGNORECASE) for slash in ("/", r"\s*")]
_ABOUT_AN_OPTION = re.compile(r"^(?:[*_>\-\s]*)(?:option|选项)\s+[A-J]\s*[:：]", re.IGNORECASE)
_LETTER_ALONE = re.compile(r"\s*[*_`>（）\[\]【】()]*\s*([A-Fa-f])\s*[*_`（）\[\]【】()]*\s*")
_LETTER_FIRST = re.compile(r"\s*([A-F])\s*[.．:：)\]】、-]\s+", re.IGNORECASE)
_CAPITAL = re.compile(
    r"(?<![A-Za-z])[*_`（\[{(]*\s*([A-F])\s*[*_`）\]})]*(?=$|[\s.,:;!?)\]】》」』，。；、：）])"
)
_ANNOUNCED = re.compile(
    r"(?:final\s*answer|the\s*answer\s*is|answer(?:\s*is)?|correct\s*answer|"
    r"答案|最终答案|结论|所以|"
    r"因此|我选(?:择)?|选择|选)\s*[:：>＝=]?\s*[(\[{（【]?\s*([A-F])\s*[)\]}）】]?(?:\b|[.)、。])",
    re.IGNORECASE,
)
_ANYWHERE = re.compile(rf"{_HELD}(?![A-Za-z])")


def last_letter(text: str) -> str | None:
    """In `<answer>`; before `</answer>` or `</think>`; in one of the last lines; announced; or the only one.

    In a line a letter stands alone, in front, or is the only capital. None where none of these finds one.

    >>> last_letter("A is left of B.\\nSo it must be C")
    'C'
    """
    text = _UNSEEN.sub("", text.strip())
    for pattern, where in ((_TAGGED, text), *((end, text[-SIGNS:]) for end in _BEFORE_END)):
        if found := pattern.search(where):
            return found[1].upper()
    for part in (behind_thought(text), text[-SIGNS:]):
        if letter := _in_lines(part.splitlines()[-LINES:]):
            return letter
    if found := _ANNOUNCED.search(text):
        return found[1].upper()
    rest = "\n".join(line for line in text.splitlines() if not _ABOUT_AN_OPTION.search(line))
    capitals = set(_ANYWHERE.findall(rest))
    return capitals.pop() if len(capitals) == 1 else None


def _in_lines(lines: Sequence[str]) -> str | None:
    for line in reversed([line.strip() for line in lines if line.strip()]):
        if _ABOUT_AN_OPTION.search(line):
            continue
        if found := _LETTER_ALONE.fullmatch(line) or _LETTER_FIRST.match(line):
            return found[1].upper()
        capitals = set(_CAPITAL.findall(line))
        if len(capitals) == 1:
            return capitals.pop()
    return None


def behind_thought(text: str) -> str:
    """What follows the last `</think>`, else the last `<think>`, stripped; else the whole text."""
    for mark in _THOUGHT:
        if found := [*mark.finditer(text)]:
            return text[found[-1].end() :].strip()
    return text
