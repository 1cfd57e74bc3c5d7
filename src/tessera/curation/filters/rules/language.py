"""Which script and language a text is in, from its letters and most frequent words; no model."""

import re

from tessera.curation.filters.rules.finding import NOTHING, Finding
from tessera.curation.filters.rules.prose import LINK, blank, prose, words
from tessera.curation.scripts import count_scripts

FEWEST_ASKED = 5
FEWEST_TOLD = 20
"""Letters that say something of a question's and an answer's language; of syllable signs half suffice."""
FEWEST_HINTS = 3
"""Frequent words that an answer must show; a question needs one."""
SHOWN = 80
LONGEST = 4_000
"""Characters of a text that its language is told from."""

_FREQUENT = {
    "en": "the of and to in is that it was for on are with as his they at be this from have or by what which"
    " me about you do why how does there name many describe explain tell who where when",
    "de": "der die das und ist nicht ein eine zu den mit von auf für sich dem im auch wie wird sind wurde",
    "fr": "le la les et est une des dans que qui pour sur pas avec au ce il elle sont du nous vous par",
    "es": "el los las y es una en que por con para del se no su al lo como más pero son está qué",
    "it": "il gli e è una che di per con del della non sono nel alla si da come più questo anche",
    "pt": "o os as e é uma em que por com para do da não se no na como mais são você está",
}
_LANGUAGES = {
    word: tuple(name for name, listed in _FREQUENT.items() if word in listed.split())
    for listed in _FREQUENT.values()
    for word in listed.split()
}
"""Frequent word -> the languages that have it."""
_ABOUT_LANGUAGE = re.compile(
    r"translat|transcri|\bin (?:english|chinese|german|french|spanish|japanese|korean|russian|italian|arabic"
    r"|portuguese|hindi)\b|language|翻译|翻譯|译成|用英|用中|英文|中文|英语|日语|übersetz"
    r"|auf (?:deutsch|englisch)"
    r"|tradu|en (?:français|anglais|español|inglés)|перевед|翻訳|번역|\bread\b|\btext\b|\bocr\b|文字|识别",
    re.IGNORECASE,
)


def main_script(text: str, fewest: int) -> str | None:
    """The script of most letters; zh, ja, ko for those of East Asia; None under `fewest` letters.

    A Chinese or Korean sign, and a kana, counts as two letters.
    """
    letters = count_scripts(blank(LINK, prose(text)))  # code, formulas, boxes and links don't count
    dense = letters["Han"] + letters["Kana"] + letters["Hangul"]
    if letters.total() + dense < fewest:
        return None
    if letters["Kana"] > 0.1 * letters.total():
        return "ja"
    main, count = letters.most_common(1)[0]
    return {"Han": "zh", "Hangul": "ko"}.get(main, main.lower()) if count >= 0.6 * letters.total() else None


def latin_language(text: str, fewest: int = FEWEST_HINTS) -> str | None:
    """One of six languages by its most frequent words; None when too few of them occur to say."""
    hits = dict.fromkeys(_FREQUENT, 0)
    for word in words(prose(text)):
        for name in _LANGUAGES.get(word, ()):
            hits[name] += 1
    first = max(hits, key=lambda name: hits[name])
    second, most = sorted(hits.values())[-2:]
    return first if most >= fewest and most >= 1.5 * second else None


def language_mismatch(question: str, answer: str) -> Finding:
    """How surely the answer is in another language than its question: 1 another script, 0.6 another language.

    A person decides. Questions about translation, language or reading text, questions under 5 and answers
    under 20 letters say nothing.
    """
    if question.isascii() and answer.isascii() and len(answer) < 2 * FEWEST_TOLD:
        return NOTHING
    question, answer = question[:LONGEST], answer[:LONGEST]
    asked, told = main_script(question, FEWEST_ASKED), main_script(answer, FEWEST_TOLD)
    if asked is None or told is None or _ABOUT_LANGUAGE.search(question):
        return NOTHING
    whole = Finding(1.0, 0, min(len(answer), SHOWN))
    if asked != told:
        return NOTHING if {asked, told} <= {"zh", "ja"} else whole
    if asked != "latin":
        return NOTHING
    asked, told = latin_language(question, 1), latin_language(answer)
    return NOTHING if asked is None or told is None or asked == told else Finding(0.6, 0, whole.end)
