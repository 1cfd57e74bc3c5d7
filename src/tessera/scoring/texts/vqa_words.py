"""Normalisation of the VQA family: numbers as digits, no articles, no punctuation, in four dialects."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_NUMBERS = dict(
    none="0", zero="0", one="1", two="2", three="3", four="4", five="5", six="6", seven="7", eight="8"
) | {"nine": "9", "ten": "10"}
_ARTICLES = {"a", "an", "the"}
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_MOST_PERIODS = 32
"""All scripts hand `re.UNICODE`, which is 32, over as the number of replacements."""
_PERIOD = re.compile(r"\.(?!\d)")
_PERIOD_BETWEEN = re.compile(r"(?<!\d)\.(?!\d)")
_COMMAS_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_ONE_MARK = """ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd how'd
how'll how's isn't it'd it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't
should've shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's
there'd there're there's they'd they'll they're they've wasn't we've weren't what'll what're what's what've
when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all
you'd you'll you're you've 'twas he's"""
_MORE_MARKS = """couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've
someone'd've something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'll y'all'd've you'd've
'ow's'at"""


@dataclass(frozen=True)
class VqaRules:
    """What differs between the scripts; where each stands is on docs/facts/evaluation.md.

    words_first: commas and question marks go before all else, and `'s` stands apart. unanimous: references
    that are all the same are compared as they stand.
    """

    words_first: bool = True
    period: re.Pattern[str] = _PERIOD
    comma: re.Pattern[str] = _COMMAS_IN_NUMBER
    unanimous: bool = False


EVALAI = VqaRules()
RULES: Mapping[str, VqaRules] = {
    "official": EVALAI,
    "lmms-eval": EVALAI,
    "lmms-eval-vqav2": VqaRules(words_first=False),
    "vlmevalkit": VqaRules(False, _PERIOD_BETWEEN, _COMMA_IN_NUMBER),
    "organisers": VqaRules(False, _PERIOD, _COMMA_IN_NUMBER, unanimous=True),
}
"""By name; `official` is what InternVL's own harness does."""


def _misspelt() -> dict[str, str]:
    """A word without its apostrophe, or without one of several → the word, from VQA's official evaluation."""
    found = {word.replace("'", ""): word for word in _ONE_MARK.split()} | {"somebody'd": "somebodyd"}
    for word in _MORE_MARKS.split():
        found |= {word[:at] + word[at + 1 :]: word for at, sign in enumerate(word) if sign == "'"}
    return found


_CONTRACTIONS = _misspelt()


@lru_cache(4096)
def normalise_vqa(text: str, rules: VqaRules = EVALAI) -> str:
    """Lower case, numbers as digits, no articles, no punctuation.

    >>> normalise_vqa("The two dogs.")
    '2 dogs'
    """
    if rules.words_first:
        text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return digits_and_articles(without_marks(one_line(text), rules))


def one_line(text: str) -> str:
    """Line breaks and tabs as spaces, none outside."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def without_marks(text: str, rules: VqaRules = EVALAI) -> str:
    """Each mark becomes a space, or nothing where it stands beside one or a number has commas."""
    given, in_number = text, rules.comma.search(text) is not None
    for mark in _MARKS:
        beside_space = f"{mark} " in given or f" {mark}" in given
        text = text.replace(mark, "" if beside_space or in_number else " ")
    return rules.period.sub("", text, count=_MOST_PERIODS)


def digits_and_articles(text: str) -> str:
    """Lower case, number words as digits, no articles, apostrophes where contractions lack them."""
    words = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
