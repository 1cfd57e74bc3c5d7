"""Rules on what a text is made of: links, signs, broken encoding, placeholders, cut ends. Pure functions."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from tessera.curation.filters.rules.finding import NOTHING, Finding
from tessera.curation.filters.rules.prose import LINK, SENTENCE_END, prose

SHORTEST = 40
"""Characters from which on a share means something."""
LONG_ANSWER = 200
"""Characters from which on an answer without an end is suspicious."""

_BROKEN = re.compile(
    r"\ufffd|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\ue000-\uf8ff]|Ã[\x80-\xbf©¨¤¶¼Ÿ]|â€[™œ\x9d“”¦]|ï»¿"
)
_SURE_PLACEHOLDER = re.compile(
    r"\W*(?:(?:todo|tbd|fixme|xxx+|lorem ipsum.*|asdf\w*|placeholder|your (?:answer|text|response) here"
    r"|(?:insert|enter|write|add) (?:your |the )?(?:answer|text|response|caption|description)\b.{0,20}"
    r"|\w*(?:answer|response|caption|description)_(?:here|text|placeholder)"
    r"|undefined|nan|nil|\(?no (?:output|response|answer provided)\)?))\W*",
    re.IGNORECASE | re.DOTALL,
)
_TEMPLATE = re.compile(
    r"\s*(?:\{\{?\s*\w+\s*\}?\}|<\s*(?:answer|response|caption|text)\s*>|\[\s*\w+ here\s*\])\s*"
)
_UNSURE_PLACEHOLDER = re.compile(r"\W*(?:n/?a|none|null|unknown|error)?\W*", re.IGNORECASE)
_PAIRS = (("<think>", "</think>"), (r"\begin{", r"\end{"), ("<box>", "</box>"), ("<ref>", "</ref>"))
_FENCE = re.compile(r"^[^\S\n]*+```", re.MULTILINE)
_ENDED = re.compile(r"[.!?…。！？؟।:;;\d\"'”’»)\]}>」』`|*_$~=%°]\s*\Z|[^\w\s,]\s*\Z")
_STOPS = re.compile(r"[.!?。！？](?:\s|$)|[。！？]")


def url_share(text: str) -> Finding:
    """Share of the characters that belong to links, 0 to 1; of texts under 40 characters 0."""
    if len(text) < SHORTEST or ("://" not in text and "www." not in text.lower()):
        return NOTHING
    links = [match.span() for match in LINK.finditer(text)]
    if not links:
        return NOTHING
    return Finding(sum(end - start for start, end in links) / len(text), *links[0])


def symbol_share(text: str) -> Finding:
    """Share of signs (neither letters, digits, marks nor usual punctuation) in the prose, 0 to 1.

    Code, formulas, boxes and spaces don't count; under 40 other characters it is 0. The levels are wider than
    Gopher's 0.1 for web text because answers carry formulas.
    """
    if len(text) < SHORTEST:
        return NOTHING
    bare = prose(text)
    counts = Counter(bare)
    shown = sum(count for character, count in counts.items() if not character.isspace())
    signs = {character for character in counts if _is_sign(character)}
    found = sum(counts[character] for character in signs)
    if shown < SHORTEST or not found:
        return NOTHING
    start, end = _densest(bare, signs)
    return Finding(found / shown, start, end)


def _densest(text: str, signs: set[str]) -> tuple[int, int]:
    """The longest run of signs, spaces between them allowed."""
    listed = re.escape("".join(sorted(signs)))
    runs = re.finditer(rf"[{listed}][{listed}\s]*", text)
    start, end = max((run.span() for run in runs), key=lambda span: span[1] - span[0])
    return start, end


@lru_cache(maxsize=4096)
def _is_sign(character: str) -> bool:
    if character.isalnum() or character.isspace():
        return False
    return character in "#@&%*_\\/|{}[]<>^~" or unicodedata.category(character)[0] in "SC"


def garbled(text: str) -> Finding:
    """Broken encoding per 1,000 characters: U+FFFD, control and private characters, UTF-8 read as Latin-1."""
    if text.isascii() and text.isprintable():
        return NOTHING
    found = [match.span() for match in _BROKEN.finditer(text)]
    if not found:
        return NOTHING
    return Finding(1000 * len(found) / max(len(text), 1), *found[0])


def placeholder(text: str) -> Finding:
    """1 for an empty answer or one that stands for it (TODO, {answer}, lorem ipsum); 0.5 for None, N/A.

    None can be the right answer to a question, so a person decides.
    """
    bare = text.strip()
    if len(bare) > 400:
        return NOTHING
    if not bare or _SURE_PLACEHOLDER.fullmatch(bare) or _TEMPLATE.fullmatch(bare):
        return Finding(1.0, 0, len(text))
    if _UNSURE_PLACEHOLDER.fullmatch(bare) and not any(map(str.isdigit, bare)):
        return Finding(0.5, 0, len(text))
    return NOTHING


def truncated(text: str) -> Finding:
    r"""1 for an open code fence, \begin, <think>, <box>; 0.5 for a long answer in sentences without end.

    Long is from 200 characters, in sentences means two or more.
    """
    bare = text.rstrip()
    at = max(0, len(bare) - 1)
    if len(_FENCE.findall(text)) % 2:
        return Finding(1.0, text.rfind("```"), len(bare))
    if any(text.count(opening) > text.count(closing) for opening, closing in _PAIRS):
        return Finding(1.0, at, len(bare))
    last_line = bare[bare.rfind("\n") + 1 :]
    listed = last_line.lstrip().startswith(("-", "*", "|", "#", "•")) or re.match(r"\s*\d+[.)]", last_line)
    in_sentences = len(bare) >= LONG_ANSWER and len(_STOPS.findall(bare)) >= 2
    if in_sentences and not listed and not _ENDED.search(bare):
        return Finding(0.5, at, len(bare))
    return NOTHING


def sentence_length(text: str) -> Finding:
    """Characters of the longest sentence or line outside code, formulas and boxes.

    InternVL2.5 names "abnormal sentence length" without a figure (docs/facts/cleaning.md); length_outlier
    compares with the rest of the source.
    """
    bare = prose(text)
    if len(bare) < SHORTEST:
        return NOTHING
    marks = [0, *(match.end() for match in SENTENCE_END.finditer(bare)), len(bare)]
    start, end = max(pairwise(marks), key=lambda span: span[1] - span[0])
    return Finding(float(len(" ".join(bare[start:end].split()))), start, end)
