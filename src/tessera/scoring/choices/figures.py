"""Figures of options: rotations and pairs that count as a whole, MMMU's subjects, means of groups."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tessera.scoring.columns import checked_names, column, grouped, percent, scores_of, with_groups
from tessera.scoring.verdict import OVERALL, Aggregate, Graded, Verdict

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


def circular_figures(by: str | Sequence[str] = (), group: str | None = None) -> Aggregate:
    """A question is right when it is in every rotation; the mean of questions × 100, also by columns.

    group: column with the question's own index (`g_index`); without one it is the index modulo a million. As
    published only questions count that stand there unrotated.
    """
    columns = checked_names(by, "circular: by")

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        turns: dict[int, list[Graded]] = {}
        for each in graded:
            turns.setdefault(_question(each, group), []).append(each)
        whole = []
        for question, members in turns.items():
            first = next((each for each in members if _number(each) == question), None)
            if first:
                whole.append(_with_score(first, float(all(each.verdict.score == 1 for each in members))))
        return with_groups(whole, columns)

    return figures


def pair_figures(column: str | None = None) -> Aggregate:
    """Both of a pair right, × 100, under `OVERALL`; the mean of single questions under `single`.

    Pairs stand one after the other (MMVP), or share the value of a column. A last one without its other is no
    pair.
    """

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        if column:
            pairs = list(grouped(graded, column).values())
        else:
            pairs = [list(graded[at : at + 2]) for at in range(0, len(graded) - 1, 2)]
        whole = [float(all(score == 1 for score in scores_of(pair))) for pair in pairs]
        return {OVERALL: percent(whole), "single": percent(scores_of(graded))}

    return figures


def mmmu_figures(subject: str | None = None, guess: int | None = None) -> Aggregate:
    """Every subject, every domain, and the mean of all questions, × 100.

    subject: its column; without one it stands in the index, as in `validation_Art_Theory_12`. guess: the seed
    of a run in which the published parser drew letters; they are drawn again, in the order of the questions.
    """

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        listed = list(graded) if guess is None else _drawn_again(graded, guess)
        subjects: dict[str, list[float]] = {}
        for each in listed:
            name = column(each, subject) if subject else "_".join(each.index.split("_")[1:-1])
            subjects.setdefault(name.replace(" ", "_"), []).append(each.verdict.score)
        found = {OVERALL: percent(scores_of(listed))}
        for domain, names in DOMAINS.items():
            if scores := [score for name in names for score in subjects.get(name, [])]:
                found[domain] = percent(scores)
        return found | {name: percent(scores) for name, scores in subjects.items()}

    return figures


def group_mean_figures(by: str, groups: Sequence[str] = ()) -> Aggregate:
    """The mean of the groups' means, × 100: every group counts the same, however many questions it has.

    groups: those that count and their order; without it all values of the column.
    """
    (name,) = checked_names(by, "group_mean: by")
    wanted = checked_names(groups, "group_mean: groups")

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        found = {value: percent(scores_of(members)) for value, members in grouped(graded, name).items()}
        counted = [found[value] for value in wanted or found if value in found]
        return {OVERALL: sum(counted) / len(counted) if counted else 0.0} | found

    return figures


def _question(each: Graded, group: str | None) -> int:
    return _whole(column(each, group), each) if group else _number(each) % _TURNS


def _number(each: Graded) -> int:
    return _whole(each.index, each)


def _whole(text: str, each: Graded) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"question {each.index[:40]!r}: {text[:40]!r} is no whole number; rotations are found by indices "
            "that are, and by the column `group`"
        ) from None


def _with_score(each: Graded, score: float) -> Graded:
    old = each.verdict
    return Graded(
        each.index, each.prediction, Verdict(score, old.extracted, old.why, old.parts), each.reference
    )


def _drawn_again(graded: Sequence[Graded], seed: int) -> list[Graded]:
    generator, found = random.Random(seed), []
    for each in graded:
        letters = each.verdict.parts.get("undecided")
        letter = generator.choice(letters) if letters else None
        found.append(_with_score(each, float(letter in each.verdict.parts["right"])) if letters else each)
    return found
