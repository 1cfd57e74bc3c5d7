"""VCR: words that are covered in part, each blank against the likest run of words of the reply."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tessera.scoring.ratio import Ratio
from tessera.scoring.settings import one_of
from tessera.scoring.texts.tasks.english_words import english_words
from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict

FIGURES = ("exact_match", "jaccard")
_REFUSALS = ("I can't", "I cannot", "无法", "抱歉")
_SPEAKER = "Assistant: "


def vcr(language: str = "en", rules: str = "vlmevalkit") -> Callable[[str, Reference], Verdict]:
    """Every answer is a blank of its own; the score is the share of blanks that are exactly right.

    Parts hold both measures of every blank.

    language: en (words as spaCy divides them) or zh (single signs). rules: vlmevalkit, official (the same),
    or lmms-eval, which does not look for `Assistant: `. A reply that refuses has nothing right.
    """
    words = {"en": english_words, "zh": _signs}[one_of("language", language, ("en", "zh"))]
    glue = " " if language == "en" else ""
    one_of("rules", rules, ("official", "vlmevalkit", "lmms-eval"))

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = prediction if rules == "lmms-eval" else prediction.split(_SPEAKER)[-1]
        refused = any(mark in said for mark in _REFUSALS) or "sorry" in said.lower()
        hay = [] if refused else words(said)
        found = [_blank(hay, words(answer), answer, glue) for answer in reference.answers]
        if not found:
            return Verdict(0.0, None, "no blank is known")
        right = [exact for _, exact, _ in found]
        parts = {"exact_match": right, "jaccard": [jaccard for _, _, jaccard in found]}
        why = "refused" if refused else f"{sum(right):g} of {len(right)} blanks"
        return Verdict(sum(right) / len(right), " | ".join(run for run, *_ in found), why, parts)

    return score


@dataclass(frozen=True)
class VcrMeans:
    """Exact match (the headline) and Jaccard index of all blanks together, × 100."""

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """Every figure."""
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """Sums over the blanks of each question, and how many it has."""
        found = {}
        for name in FIGURES:
            blanks = [one.verdict.parts.get(name, [0.0]) for one in graded]
            found[name] = Ratio([float(sum(each)) for each in blanks], [float(len(each)) for each in blanks])
        return {OVERALL: found["exact_match"]} | found


def _blank(hay: Sequence[str], needle: Sequence[str], answer: str, glue: str) -> tuple[str, float, float]:
    """The likest run of as many words that shares one, whether it is the blank, and the Jaccard index."""
    likest: tuple[str, ...] = ()
    wanted, best = set(needle), 0.0
    for run in zip(*(hay[start:] for start in range(len(needle))), strict=False):
        if wanted.isdisjoint(run):
            continue
        similarity = SequenceMatcher(None, glue.join(run), answer).ratio()
        if similarity > best:
            best, likest = similarity, run
    if not likest:
        return "", 0.0, 0.0
    shared, either = wanted & set(likest), wanted | set(likest)
    return glue.join(likest), float(list(likest) == list(needle)), len(shared) / len(either)


def _signs(text: str) -> list[str]:
    return [sign for sign in text if not sign.isspace()]
