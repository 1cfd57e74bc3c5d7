"""Graded answers made by hand, and aggregates of both kinds over them."""

from collections.abc import Mapping, Sequence

from tessera.scoring.ratio import Ratio
from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict


def graded(
    scores: Sequence[float], units: Sequence[object] = (), **columns: Sequence[object]
) -> list[Graded]:
    """One question a score; `units` is the column `picture`."""
    columns = columns | ({"picture": units} if units else {})
    return [
        Graded(
            str(at),
            "yes" if score else "no",
            Verdict(float(score), "yes" if score else "no"),
            Reference(("yes",), question=f"question {at}", fields={n: v[at] for n, v in columns.items()}),
        )
        for at, score in enumerate(scores)
    ]


class Mean:
    """The mean score in percent, also of each category: ratios."""

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        scores = [one.verdict.score for one in graded]
        kinds = [one.reference.fields.get("category") for one in graded]
        found = {OVERALL: Ratio(scores, [1.0] * len(scores))}
        for kind in dict.fromkeys(kind for kind in kinds if kind is not None):
            inside = [float(kind == other) for other in kinds]
            found[str(kind)] = Ratio([s * i for s, i in zip(scores, inside, strict=True)], inside)
        return found


class ComputedMean:
    """The same figure without telling what it is made of. Refuses to see a question twice."""

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        assert len({one.index for one in graded}) == len(graded)
        return {OVERALL: 100 * sum(one.verdict.score for one in graded) / len(graded)}
