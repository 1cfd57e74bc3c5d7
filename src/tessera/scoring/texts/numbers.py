"""Numbers within a share of the right one: ChartQA's relaxed accuracy."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tessera.scoring.settings import number, one_of
from tessera.scoring.verdict import Reference, Verdict


@dataclass(frozen=True)
class RelaxedRules:
    """What differs between the scripts.

    of_answer: the tolerance is a share of the right number. False repeats InternVL's script, which hands
    prediction and answer over in the wrong order: a share of the predicted one. listed: an answer that is
    written as a list, such as `[2010, 2011]`, is several.
    """

    of_answer: bool = True
    stripped: bool = True
    listed: bool = False


RULES: Mapping[str, RelaxedRules] = {
    "official": RelaxedRules(of_answer=False),
    "vlmevalkit": RelaxedRules(listed=True),
    "lmms-eval": RelaxedRules(stripped=False),
}


def read_number(text: str) -> float | None:
    """What Python's `float` reads, a hundredth of it before `%`; None for anything else.

    >>> read_number("12.5%"), read_number("1,000")
    (0.125, None)
    """
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def near(value: str, measure: str, tolerance: float = 0.05) -> bool:
    """Whether a value differs by at most that share of the measure. A measure of 0, and text, ask for
    equality without case.
    """
    found, expected = read_number(value), read_number(measure)
    if found is not None and expected:
        return abs(found - expected) / abs(expected) <= tolerance
    return value.lower() == measure.lower()


def relaxed(tolerance: float = 0.05, rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """Relaxed accuracy, the best over the answers. rules: official, vlmevalkit or lmms-eval."""
    share = number("tolerance", tolerance, 0, 1)
    chosen = RULES[one_of("rules", rules, RULES)]

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = prediction.strip() if chosen.stripped else prediction
        known = reference.answers
        for answer in [one for text in known for one in _entries(text)] if chosen.listed else known:
            if near(said, answer, share) if chosen.of_answer else near(answer, said, share):
                return Verdict(1.0, said, f"as {answer[:60]!r}, within {share:.0%}")
        return Verdict(0.0, said, "none of the answers")

    return score


def _entries(text: str) -> list[str]:
    """Those of a list as Python writes it; else the text itself."""
    try:
        read = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [text]
    return [*map(str, read)] if isinstance(read, list) else [text]
