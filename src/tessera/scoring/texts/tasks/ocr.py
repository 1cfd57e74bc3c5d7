"""OCRBench: one of the answers stands in the reply; points out of a thousand in five groups."""

from collections.abc import Callable, Mapping

from tessera.scoring.aggregates import GroupMean, grouped_sum
from tessera.scoring.columns import column_of
from tessera.scoring.settings import one_of
from tessera.scoring.verdict import Reference, Verdict

FORMULAS = "Handwritten Mathematical Expression Recognition"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Text Recognition": (
        *("Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition"),
        *("Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition"),
    ),
    "Scene Text-centric VQA": ("Scene Text-centric VQA",),
    "Doc-oriented VQA": ("Doc-oriented VQA",),
    "Key Information Extraction": ("Key Information Extraction",),
    FORMULAS: (FORMULAS,),
}
"""The five published groups and their kinds of questions."""
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def ocrbench(
    rules: str = "vlmevalkit", column: str = "category", formulas: str = FORMULAS
) -> Callable[[str, Reference], Verdict]:
    """An answer in the reply, without case and line breaks; formulas keep their case and lose all spaces.

    column, formulas: where a question's kind stands, and which kind is a formula. rules: vlmevalkit, official
    (the same), or lmms-eval, for which full-width ASCII is plain ASCII.
    """
    one_of("rules", rules, ("official", "vlmevalkit", "lmms-eval"))

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if column_of(reference, column) == formulas:
            change = _formula
        else:
            change = _folded if rules == "lmms-eval" else _line
        said = change(prediction)
        hit = next((answer for answer in reference.answers if change(answer) in said), None)
        if hit is None:
            return Verdict(0.0, None, "none of the answers stands in it")
        return Verdict(1.0, hit, f"holds {hit[:60]!r}")

    return score


def ocrbench_points(column: str = "category") -> GroupMean:
    """Points: of every kind, of the five groups, and of all (of 1000)."""
    return grouped_sum(column, GROUPS)


def _line(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _folded(text: str) -> str:
    return _line(text.strip().translate(_WIDE))


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")
