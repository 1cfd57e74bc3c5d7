"""Whether a model says yes more often than it is right to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessera.scoring.extract import normalise_answer
from tessera.scoring.ratio import Ratio
from tessera.scoring.verdict import Graded

YES, NO = "yes", "no"
BIAS = "yes bias"


@dataclass(frozen=True)
class YesBias:
    """Of questions whose right answer is yes or no: yes said, yes right, the bias between them; in percent.

    Also the share right where yes is right and where no is. An answer that is neither counts as not yes.
    Nothing is told where there are no such questions.
    """

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """By name."""
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """The same as ratios."""
        pairs = [(truth_of(one), said_of(one)) for one in graded]
        asked = [float(truth is not None) for truth, _ in pairs]
        if not any(asked):
            return {}
        said = [float(truth is not None and said == YES) for truth, said in pairs]
        sides = {side: [float(truth == side) for truth, _ in pairs] for side in (YES, NO)}
        right = [float(truth is not None and truth == said) for truth, said in pairs]
        return {
            BIAS: Ratio([a - b for a, b in zip(said, sides[YES], strict=True)], asked),
            "yes said": Ratio(said, asked),
            "yes right": Ratio(sides[YES], asked),
            **{
                f"right where {side} is": Ratio([r * m for r, m in zip(right, members, strict=True)], members)
                for side, members in sides.items()
                if any(members)
            },
        }


def truth_of(one: Graded) -> str | None:
    """The right answer if it is yes or no."""
    known = one.verdict.parts.get("right")
    found = {_word(answer) for answer in ((known,) if isinstance(known, str) else one.reference.answers)}
    return found.pop() if len(found) == 1 else None


def said_of(one: Graded) -> str | None:
    """What the scorer read in the answer if it is yes or no; else its first word."""
    said = one.verdict.parts.get("said")
    if isinstance(said, str):
        return _word(said)
    text = one.verdict.extracted if one.verdict.extracted is not None else one.prediction
    return _word(text) or _word(normalise_answer(text).partition(" ")[0].strip(".,;:!"))


def _word(text: str) -> str | None:
    word = normalise_answer(text)
    return word if word in (YES, NO) else None
