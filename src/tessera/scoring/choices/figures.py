"""Figures of options: rotations that count as a whole, and MMMU's subjects and domains."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tessera.scoring.columns import by_column, column, percent, scores_of
from tessera.scoring.ratio import Ratio
from tessera.scoring.settings import names, one_of
from tessera.scoring.verdict import OVERALL, Aggregate, Graded

_TURNS = 10**6
"""Rotations of a question have its index plus multiples of this."""
DOMAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
        "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
        "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
        "Health and Medicine": (
            *("Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine"),
            *("Pharmacy", "Public_Health"),
        ),
        "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
        "Tech and Engineering": (
            *("Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics"),
            *("Energy_and_Power", "Materials", "Mechanical_Engineering"),
        ),
    }
)
"""MMMU's disciplines and their subjects."""


@dataclass(frozen=True)
class Circular:
    """A question is right when it is in every rotation; the mean of questions × 100, also by columns.

    group: column with the question's own index; without one it is the index modulo a million. As published
    only questions count that stand there unrotated.
    """

    by: tuple[str, ...] = ()
    group: str | None = None

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """Every figure; nan for the mean of nothing."""
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """Every figure; the unrotated question carries its group."""
        turns: dict[int, list[Graded]] = {}
        for each in graded:
            turns.setdefault(self._question(each), []).append(each)
        counts = [_whole(each.index, each) == self._question(each) for each in graded]
        scores = [
            float(count and all(turn.verdict.score == 1 for turn in turns[self._question(each)]))
            for each, count in zip(graded, counts, strict=True)
        ]
        found = {OVERALL: Ratio(scores, [float(count) for count in counts])}
        for name in self.by:
            for value in by_column(graded, name):
                inside = [float(column(each, name) == value) for each in graded]
                above = [score * one for score, one in zip(scores, inside, strict=True)]
                below = [count * one for count, one in zip(counts, inside, strict=True)]
                found[f"{name}={value}"] = Ratio(above, below)
        return found

    def together(self, graded: Sequence[Graded], /) -> Sequence[int]:
        """Rotations by their question."""
        return [self._question(each) for each in graded]

    def _question(self, each: Graded) -> int:
        if self.group:
            return _whole(column(each, self.group), each)
        return _whole(each.index, each) % _TURNS


def circular_figures(by: str | Sequence[str] = (), group: str | None = None) -> Circular:
    """See `Circular`; by: columns whose values have figures of their own."""
    return Circular(names("by", by), group)


def mmmu_figures(rules: str = "official", subject: str | None = None, guess: int | None = None) -> Aggregate:
    """Every subject, every domain, and the mean of all questions, × 100.

    subject: its column; without one it stands in the index, as in `validation_Art_Theory_12`. guess: the seed
    of a run in which the published parser drew letters; they are drawn again, in the order of the questions.
    rules: every house has the same headline; vlmevalkit has no domains.
    """
    with_domains = one_of("rules", rules, ("official", "lmms-eval", "vlmevalkit")) != "vlmevalkit"

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        listed = list(graded) if guess is None else _drawn_again(graded, guess)
        subjects: dict[str, list[float]] = {}
        for each in listed:
            name = column(each, subject) if subject else "_".join(each.index.split("_")[1:-1])
            subjects.setdefault(name.replace(" ", "_"), []).append(each.verdict.score)
        found = {OVERALL: percent(scores_of(listed))}
        for domain, members in DOMAINS.items() if with_domains else ():
            if scores := [score for name in members for score in subjects.get(name, [])]:
                found[f"domain={domain}"] = percent(scores)
        return found | {f"subject={name}": percent(scores) for name, scores in subjects.items()}

    return figures


def _whole(text: str, each: Graded) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"question {each.index[:40]!r}: {text[:40]!r} is no whole number; rotations are found by indices "
            "that are, and by the column `group`"
        ) from None


def _with_score(each: Graded, score: float) -> Graded:
    return replace(each, verdict=replace(each.verdict, score=score))


def _drawn_again(graded: Sequence[Graded], seed: int) -> list[Graded]:
    generator, found = random.Random(seed), []
    for each in graded:
        letters = each.verdict.parts.get("undecided")
        letter = generator.choice(letters) if letters else None
        found.append(_with_score(each, float(letter in each.verdict.parts["right"])) if letters else each)
    return found
