"""VQA accuracy: answers normalised as EvalAI does, and the share of people who gave the same one."""

import re
from collections.abc import Sequence

_NUMBERS = dict(
    none="0", zero="0", one="1", two="2", three="3", four="4", five="5", six="6", seven="7", eight="8"
) | {"nine": "9", "ten": "10"}
_ARTICLES = {"a", "an", "the"}
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_FULL_STOP = re.compile(r"\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
_DIGIT = re.compile(r"\d")
_SIGN = re.compile(r"(?<![A-Za-z]{2})-(?![A-Za-z]{2})|[+<>()\[\]]")
_BRACKET = re.compile(r"[()\[\]]")
_ONE_MARK = """ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd how'd
how'll how's isn't it'd it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't
should've shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's
there'd there're there's they'd they'll they're they've wasn't we've weren't what'll what're what's what've
when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all
you'd you'll you're you've 'twas he's"""
_MORE_MARKS = """couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've
someone'd've something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'll y'all'd've you'd've
'ow's'at"""


def _misspelt() -> dict[str, str]:
    """A word without its apostrophe, or without one of several → the word, from VQA's official evaluation."""
    found = {word.replace("'", ""): word for word in _ONE_MARK.split()} | {"somebody'd": "somebodyd"}
    for word in _MORE_MARKS.split():
        found |= {word[:at] + word[at + 1 :]: word for at, sign in enumerate(word) if sign == "'"}
    return found


_CONTRACTIONS = _misspelt()


def normalise_vqa(text: str) -> str:
    """Lower case, numbers as digits, no articles, no punctuation: EvalAI's normalisation.

    >>> normalise_vqa("The two dogs.")
    '2 dogs'
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    given = text.replace("\n", " ").replace("\t", " ").strip()
    text = given
    in_number = _COMMA_IN_NUMBER.search(given) is not None
    for mark in _MARKS:
        beside_space = f"{mark} " in given or f" {mark}" in given
        text = text.replace(mark, "" if beside_space or in_number else " ")
    words = [_NUMBERS.get(word, word) for word in _FULL_STOP.sub("", text).lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def same_signs(one: str, two: str) -> bool:
    """Whether minus, plus, `<`, `>` and the brackets of pairs agree; normalisation takes them away.

    Texts without digits agree; hyphens of words are no signs.

    >>> same_signs("-5", "5"), same_signs("3-story", "3 story")
    (False, True)
    """
    if not (_DIGIT.search(one) and _DIGIT.search(two)):
        return True
    return sorted(_SIGN.findall(_bare(one))) == sorted(_SIGN.findall(_bare(two)))


def _bare(text: str) -> str:
    return text.replace("−", "-") if "," in text else _BRACKET.sub("", text.replace("−", "-"))


def vqa_score(prediction: str, references: Sequence[str]) -> float:
    """Mean over leaving one reference out of min(1, matches / 3); 0 when nothing is left of a text.

    One reference stands for ten equal ones, as where a data set has a single answer.
    """
    said = normalise_vqa(prediction)
    meant = [normalise_vqa(text) for text in references]
    meant = meant * 10 if len(meant) == 1 else meant
    if not said or not any(meant):
        return 0.0
    matches = meant.count(said)
    shares = [min(1.0, (matches - (other == said)) / 3) for other in meant]
    return sum(shares) / len(shares)
