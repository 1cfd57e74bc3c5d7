"""Which script and language a text is in, from its letters and most frequent words; no model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from tessera.data.filters.finding import Finding
from tessera.data.filters.prose import LINK, WORD, blank, prose
from tessera.data.filters.repetition import NOTHING

FEWEST_ASKED = 5
FEWEST_TOLD = 20
"""Letters that say something of a question's and an answer's language; of syllable signs half suffice."""
FEWEST_HINTS = 4

_SCRIPTS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana",
    "HANGUL": "hangul", "ARABIC": "arabic", "DEVANAGARI": "devanagari", "THAI": "thai", "HEBREW": "hebrew",
    "GREEK": "greek", "BENGALI": "bengali", "TAMIL": "tamil",
}  # fmt: skip

_FREQUENT = {
    "en": "the of and to in is that it was for on are with as his they at be this from have or by what which",
    "de": "der die das und ist nicht ein eine zu den mit von auf für sich dem im auch wie wird sind wurde",
    "fr": "le la les et est une des dans que qui pour sur pas avec au ce il elle sont du nous vous par",
    "es": "el los las y es una en que por con para del se no su al lo como más pero son está qué",
    "it": "il gli e è una che di per con del della non sono nel alla si da come più questo anche",
    "pt": "o os as e é uma em que por com para do da não se no na como mais são você está",
}
_ABOUT_LANGUAGE = re.compile(
    r"translat|transcri|\bin (?:english|chinese|german|french|spanish|japanese|korean|russian|italian|arabic"
    r"|portuguese|hindi)\b|language|翻译|翻譯|译成|用英|用中|英文|中文|英语|日语|übersetz"
    r"|auf (?:deutsch|englisch)"
    r"|tradu|en (?:français|anglais|español|inglés)|перевед|翻訳|번역|\bread\b|\btext\b|\bocr\b|文字|识别",
    re.IGNORECASE,
)


@lru_cache(maxsize=65536)
def _script(letter: str) -> str:
    """The script of a letter by the first word of its Unicode name."""
    return _SCRIPTS.get(unicodedata.name(letter, "").split(" ", 1)[0], "other")


def scripts(text: str) -> Counter[str]:
    """Letters per script; code, formulas, boxes and links don't count."""
    bare = blank(LINK, prose(text))
    if bare.isascii():
        return Counter(latin=sum(map(str.isalpha, bare)))
    return Counter(_script(letter) for letter in bare if letter.isalpha())


def guess_language(text: str, fewest: int = FEWEST_TOLD) -> str | None:
    """zh, ja, ko, a script's name, or one of six languages in Latin letters; None when it can't be said."""
    letters = scripts(text)
    dense = letters["han"] + letters["kana"] + letters["hangul"]
    if letters.total() + dense < fewest:
        return None
    main, count = letters.most_common(1)[0]
    if letters["kana"] > 0.1 * letters.total():
        return "ja"
    if main != "latin" or count < 0.6 * letters.total():
        return {"han": "zh", "hangul": "ko"}.get(main, main)
    return _latin_language(text)


def _latin_language(text: str) -> str | None:
    spoken = Counter(match.group().lower() for match in WORD.finditer(prose(text)))
    hits = {name: sum(spoken[word] for word in listed.split()) for name, listed in _FREQUENT.items()}
    (first, most), (_, second) = Counter(hits).most_common(2)
    return first if most >= FEWEST_HINTS and most >= 1.5 * second else None


def language_mismatch(question: str, answer: str) -> Finding:
    """How surely the answer is in another language than its question: 1 another script, 0.6 another language.

    Default: borderline 0.6, never dropped; ours: a person decides. Questions about translation, language or
    reading text, questions under 5 and answers under 20 letters say nothing.
    """
    if question.isascii() and answer.isascii() and len(answer) < 4 * FEWEST_TOLD:
        return NOTHING
    asked, told = guess_language(question, FEWEST_ASKED), guess_language(answer)
    if asked is None or told is None or asked == told or _ABOUT_LANGUAGE.search(question):
        return NOTHING
    other_script = not ({asked, told} <= set(_FREQUENT) or {asked, told} <= {"zh", "ja"})
    return Finding(1.0 if other_script else 0.6, 0, min(len(answer), 80))
