"""VQA accuracy against one reference or several, with the signs that normalisation takes away."""

import re
from collections.abc import Sequence

from tessera.scoring.texts.vqa import vqa_accuracy
from tessera.scoring.texts.vqa_words import normalise_vqa

_DIGIT = re.compile(r"\d")
_SIGN = re.compile(r"(?<![A-Za-z]{2})-(?![A-Za-z]{2})|[+<>()\[\]]")
_BRACKET = re.compile(r"[()\[\]]")


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
    return vqa_accuracy(said, meant) if said and any(meant) else 0.0
