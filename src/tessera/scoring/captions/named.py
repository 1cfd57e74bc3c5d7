"""Captions by the names that declarations use."""

from collections.abc import Callable, Mapping, Sequence

from tessera.scoring.captions.bleu import bleu
from tessera.scoring.captions.cider import cider
from tessera.scoring.captions.ptb import ptb_lines
from tessera.scoring.captions.rouge import rouge_l
from tessera.scoring.settings import flag, one_of
from tessera.scoring.verdict import OVERALL, Aggregate, Graded, Reference, Scorer, Verdict

FIGURES = ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L")
_TOKENS = ("ptb", "plain")


def caption(tokens: str = "ptb") -> Scorer:
    """ROUGE-L of one caption, 0..1; the figures that papers quote need the corpus: aggregate `captions`."""
    one_of("tokens", tokens, _TOKENS)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if not reference.answers:
            return Verdict(0.0, prediction, "no reference")
        (said,), (meant,) = _divided([prediction], [reference.answers], tokens)
        value = rouge_l(said, meant)
        return Verdict(value, said, f"ROUGE-L {value:.3f} of {len(meant)} references")

    return score


def captions(
    tokens: str = "ptb", headline: str = "CIDEr", clipped: bool = True, percent: bool = True
) -> Aggregate:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr of a corpus; the headline stands under `OVERALL`, too.

    tokens: `ptb` divides words as pycocoevalcap does (InternVL, lmms-eval), `plain` at white space, case and
    punctuation as they are (VLMEvalKit). clipped: False for CIDEr without the changes of CIDEr-D. percent:
    times 100. Questions without references do not count.
    """
    one_of("tokens", tokens, _TOKENS)
    one_of("headline", headline, FIGURES)
    in_d, scale = flag("clipped", clipped), 100.0 if flag("percent", percent) else 1.0

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        rows = [one for one in graded if one.reference.answers]
        if not rows:
            raise ValueError("captions: no question has a reference (answers); nothing can be compared")
        said, meant = _divided(
            [one.prediction for one in rows], [one.reference.answers for one in rows], tokens
        )
        each = [cider(said, meant, in_d), [*map(rouge_l, said, meant)]]
        of_pictures, of_order = (sum(values) / len(rows) for values in each)
        found = dict(zip(FIGURES, [of_pictures, *bleu(said, meant), of_order], strict=True))
        return {name: value * scale for name, value in ({OVERALL: found[headline]} | found).items()}

    return figures


def _divided(
    said: Sequence[str], meant: Sequence[Sequence[str]], tokens: str
) -> tuple[list[str], list[list[str]]]:
    if tokens == "plain":
        return [*said], [[*texts] for texts in meant]
    words = iter(ptb_lines([text for texts in meant for text in texts]))
    return ptb_lines(said), [[next(words) for _ in texts] for texts in meant]


SCORERS: Mapping[str, Callable[..., Scorer]] = {"caption": caption}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {"captions": captions}
