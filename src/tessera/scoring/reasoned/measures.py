"""The short measures of a final answer: numbers within a tolerance, letters of options, edit distance."""

import math
from collections.abc import Callable

from tessera.scoring.texts.edits import edit_distance

_RELAXED = 0.05
_EXACTER = 1e-3
MOST_STEPS = 10_000_000
"""Of an edit distance: about a second."""
_UNITS = ("degrees", "degree", "\\angle", "°", "%", "cm")
"""What `number_score` takes away, wherever it stands."""


def relaxed_score(prediction: str, target: str) -> float:
    """1 within 5 % of the target, else 0. `%` is dropped without dividing.

    Text, a target of 0, and years (four characters that begin with 20) ask for equality without case.
    """
    if len(target) == 4 and target.startswith("20"):
        return float(prediction.lower() == target.lower())
    return _close(prediction, target, _without_percent, _RELAXED)


def number_score(prediction: str, target: str) -> float:
    """1 within 0.1 % of the target without degrees, `%` and `cm`, else 0. Text asks for equality."""
    return _close(prediction, target, _without_units, _EXACTER)


def choice_score(prediction: str, target: str, decimals: bool = False) -> float:
    """1 for the same text, or for a prediction that begins with the target as in `B. text` or `(B) text`.

    decimals: True repeats the published script, for which 3.14 is option 3.

    >>> choice_score("(b) a cat", "B"), choice_score("3.14", "3")
    (1.0, 0.0)
    """
    letter, target = prediction.strip(), target.strip()
    if letter.lower() == target.lower():
        return 1.0
    if letter[1:2] == "." and (decimals or not letter[2:3].isdigit()):
        letter = letter[0]
    if letter[:1] == "(" and letter[2:3] == ")":
        letter = letter[1]
    return float(letter.lower() == target.lower())


def anls_score(prediction: str, target: str) -> float:
    """1 minus the normalised edit distance, 0..1; 0 below 0.5. Case and white space do not count.

    Texts whose lengths multiply to more than `MOST_STEPS` are not compared: 0, in place of seconds or hours.
    """
    longest = max(len(prediction), len(target))
    if abs(len(" ".join(prediction.split())) - len(" ".join(target.split()))) > longest / 2:
        return 0.0  # known without the distance, whose time is the product of both lengths
    if len(prediction) * len(target) > MOST_STEPS:
        return 0.0
    similarity = 1 - edit_share(prediction, target)
    return similarity if similarity >= 0.5 else 0.0


def edit_share(prediction: str, target: str) -> float:
    """Edit distance over the length of the longer text: 0 for equal ones, 1 where nothing is alike."""
    longest = max(len(prediction), len(target))
    distance = edit_distance(" ".join(target.lower().split()), " ".join(prediction.lower().split()))
    return distance / longest if longest else 0.0


def _close(prediction: str, target: str, bare: Callable[[str], str], tolerance: float) -> float:
    said, meant = _number(bare(prediction)), _number(bare(target))
    if said is None or not meant:
        return float(prediction.lower() == target.lower())
    return float(abs(said - meant) / abs(meant) <= tolerance)


def _without_percent(text: str) -> str:
    return text.rstrip("%")


def _without_units(text: str) -> str:
    for unit in _UNITS:
        text = text.replace(unit, "")
    return text


def _number(text: str) -> float | None:
    """A finite number; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
