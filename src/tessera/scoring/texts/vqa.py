"""VQA accuracy: the share of people who gave the same answer."""

from collections.abc import Callable, Sequence

from tessera.scoring.settings import one_of
from tessera.scoring.texts.vqa_words import RULES, VqaRules, normalise_vqa, one_line
from tessera.scoring.verdict import Reference, Verdict


def vqa_accuracy(said: str, meant: Sequence[str]) -> float:
    """Mean over leaving one reference out of min(1, matches / 3), of texts that are normalised already.

    >>> vqa_accuracy("2", ["2"] * 3 + ["3"] * 7)
    0.9
    """
    if not meant:
        return 0.0
    matches = meant.count(said)
    return sum(min(1.0, (matches - (other == said)) / 3) for other in meant) / len(meant)


def vqa(rules: str = "official") -> Callable[[str, Reference], Verdict]:
    """Leave-one-out accuracy over the answers that people gave.

    rules: official, lmms-eval (the same), lmms-eval-vqav2, vlmevalkit, or organisers (VQA v2's own script).
    """
    chosen = RULES[one_of("rules", rules, RULES)]

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said, meant = _compared(prediction, reference.answers, chosen)
        matches = meant.count(said)
        return Verdict(vqa_accuracy(said, meant), said, f"{matches} of {len(meant)} people")

    return score


def _compared(prediction: str, answers: Sequence[str], rules: VqaRules) -> tuple[str, list[str]]:
    if rules.unanimous and len({*map(one_line, answers)}) == 1:
        return one_line(prediction), [*map(one_line, answers)]
    return normalise_vqa(prediction, rules), [normalise_vqa(text, rules) for text in answers]
