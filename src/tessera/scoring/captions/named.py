"""Captions by the names that declarations use."""

from collections.abc import Callable, Mapping, Sequence

from tessera.scoring.captions.bleu import bleu
from tessera.scoring.captions.cider import cider
from tessera.scoring.captions.ptb import ptb_lines
from tessera.scoring.captions.rouge import rouge_l
from tessera.scoring.settings import flag, one_of
from tessera.scoring.verdict import OVERALL, Aggregate, Graded, Reference, Scorer, Verdict

FIGURES = ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L")
RULES = ("official", "lmms-eval", "vlmevalkit")
"""All but the last divide words as pycocoevalcap does; VLMEvalKit takes the texts as they stand."""


def caption(rules: str = "official") -> Scorer:
    """ROUGE-L of one caption, 0..1; the figures that papers quote need the corpus: aggregate `captions`."""
    one_of("rules", rules, RULES)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if not reference.answers:
            return Verdict(0.0, prediction, "no reference")
        (said,), (meant,) = _divided([prediction], [reference.answers], rules)
        value = rouge_l(said, meant)
        return Verdict(value, said, f"ROUGE-L {value:.3f} of {len(meant)} references")

    return score


def captions(
    rules: str = "official", headline: str = "CIDEr", clipped: bool = True, percent: bool = True
) -> Aggregate:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr of a corpus; the headline stands under `OVERALL`, too.

    rules: official and lmms-eval divide words as pycocoevalcap does, vlmevalkit at white space, with case and
    punctuation as they are. clipped: False for CIDEr without the changes of CIDEr-D. percent: times 100.
    Questions without references do not count.
    """
    one_of("rules", rules, RULES)
    one_of("headline", headline, FIGURES)
    in_d, scale = flag("clipped", clipped), 100.0 if flag("percent", percent) else 1.0

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        rows = [one for one in graded if one.reference.answers]
        if not rows:
            raise ValueError("captions: no question has a reference (answers); nothing can be compared")
        said, meant = _divided(
            [one.prediction for one in rows], [one.reference.answers for one in rows], rules
        )
        each = [cider(said, meant, in_d), [*map(rouge_l, said, meant)]]
        of_pictures, of_order = (sum(values) / len(rows) for values in each)
        found = dict(zip(FIGURES, [of_pictures, *bleu(said, meant), of_order], strict=True))
        return {name: value * scale for name, value in ({OVERALL: found[headline]} | found).items()}

    return figures


def _divided(
    said: Sequence[str], meant: Sequence[Sequence[str]], rules: str
) -> tuple[list[str], list[list[str]]]:
    if rules == "vlmevalkit":
        return [*said], [[*texts] for texts in meant]
    words = iter(ptb_lines([text for texts in meant for text in texts]))
    return ptb_lines(said), [[next(words) for _ in texts] for texts in meant]


SCORERS: Mapping[str, Callable[..., Scorer]] = {"caption": caption}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {"captions": captions}
