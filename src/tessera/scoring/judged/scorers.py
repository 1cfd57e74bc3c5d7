"""What stands where no judge was asked."""

from tessera.scoring.verdict import Reference, Scorer, Verdict

UNJUDGED = "needs a judge"


def judged_scorer() -> Scorer:
    """0 for every answer, and says that only a judge can tell."""

    def score(prediction: str, reference: Reference, /) -> Verdict:
        return Verdict(0.0, None, UNJUDGED, {"unsure": True})

    return score
