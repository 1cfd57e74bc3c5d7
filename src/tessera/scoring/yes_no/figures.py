"""Figures of yes-or-no questions: MME's sums, POPE's F1, HallusionBench, AMBER, and the yes-bias of any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tessera.scoring.columns import by_column, column, percent, scores_of
from tessera.scoring.settings import names, one_of
from tessera.scoring.verdict import OVERALL, Aggregate, Graded
from tessera.scoring.yes_no.said import NO, OTHER, YES, right_answer

PERCEPTION = (
    *("existence", "count", "position", "color", "posters"),
    *("celebrity", "scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
_AMBER: Mapping[str, str] = MappingProxyType(
    {
        "discriminative-attribute-state": "Attribute",
        "discriminative-attribute-number": "Attribute",
        "discriminative-attribute-action": "Attribute",
        "discriminative-hallucination": "Existence",
        "discriminative-relation": "Relation",
        "relation": "Relation",
    }
)


@dataclass(frozen=True)
class YesNoCounts:
    """Pairs of what is right and what is said; an answer that says neither counts as not yes."""

    hits: int
    false_alarms: int
    misses: int
    said_no_wrongly: int
    said_yes: int
    right_yes: int
    right: int
    questions: int

    @classmethod
    def of(cls, graded: Iterable[Graded]) -> YesNoCounts:
        """From the parts that the scorers write; a question that nobody answered says neither."""
        parts = [(each.verdict.parts, each.reference) for each in graded]
        pairs = [(told.get("right") or right_answer(asked), told.get("said", OTHER)) for told, asked in parts]
        return cls(
            hits=pairs.count((YES, YES)),
            false_alarms=pairs.count((NO, YES)),
            misses=sum(right == YES != said for right, said in pairs),
            said_no_wrongly=pairs.count((YES, NO)),
            said_yes=sum(said == YES for _, said in pairs),
            right_yes=sum(right == YES for right, _ in pairs),
            right=sum(right == said for right, said in pairs),
            questions=len(pairs),
        )

    def figures(self, strict: bool = False) -> dict[str, float]:
        """F1, accuracy, precision, recall, and the shares of yes said and right, × 100; 0 where undefined.

        strict: a question with yes that is answered with neither is no miss (lmms-eval's recall).
        """
        precision = _share(self.hits, self.hits + self.false_alarms)
        recall = _share(self.hits, self.hits + (self.said_no_wrongly if strict else self.misses))
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {
            "f1": 100 * f1,
            "accuracy": 100 * _share(self.right, self.questions),
            "precision": 100 * precision,
            "recall": 100 * recall,
            "yes_ratio": 100 * _share(self.said_yes, self.questions),
            "yes_ratio_right": 100 * _share(self.right_yes, self.questions),
        }


def yes_no_figures(by: str | Sequence[str] = ()) -> Aggregate:
    """Accuracy under `OVERALL`, the figures of `YesNoCounts`, and each group's accuracy and yes share."""
    columns = names("by", by)

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        counts = YesNoCounts.of(graded).figures()
        found = {OVERALL: counts["accuracy"]} | counts
        for name in columns:
            for value, members in by_column(graded, name).items():
                group = YesNoCounts.of(members).figures()
                found[f"{name}={value}"] = group["accuracy"]
                found[f"{name}={value}: yes_ratio"] = group["yes_ratio"]
        return found

    return figures


@dataclass(frozen=True)
class MmeSums:
    """Accuracy × 100 plus the share of pictures with both questions right × 100, of each category, and sums.

    picture: column that both questions of a picture share; without it they stand one after the other within
    the category, as the official files have them. `OVERALL` is perception plus cognition.
    """

    category: str = "category"
    picture: str | None = None

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """Sums, and the figure of every category."""
        found = {}
        for name, members in by_column(graded, self.category).items():
            both = [float(len(pair) == 2 and all(scores_of(pair))) for pair in self._pairs(members)]
            found[name] = percent(scores_of(members)) + percent(both)
        sums = {
            "perception": sum(found.get(name, 0.0) for name in PERCEPTION),
            "cognition": sum(found.get(name, 0.0) for name in COGNITION),
        }
        return {OVERALL: sum(sums.values())} | sums | {f"{self.category}={n}": found[n] for n in found}

    def together(self, graded: Sequence[Graded], /) -> Sequence[int]:
        """Equal for the questions of a pair."""
        categories = by_column(graded, self.category).values()
        pairs = enumerate(pair for members in categories for pair in self._pairs(members))
        numbers = {each.index: number for number, pair in pairs for each in pair}
        return [numbers[each.index] for each in graded]

    def _pairs(self, members: Sequence[Graded]) -> list[list[Graded]]:
        """Of a category."""
        pictures = by_column(members, self.picture).values() if self.picture else [members]
        return [pair for questions in pictures for pair in _pairs(questions)]


def mme_figures(category: str = "category", picture: str | None = None) -> MmeSums:
    """See `MmeSums`."""
    return MmeSums(category, picture)


def pope_figures(category: str | None = "category", rules: str = "official") -> Aggregate:
    """F1 × 100 under `OVERALL` with accuracy, precision, recall and yes share, and all of each category.

    official: `OVERALL` is the mean of the categories' F1. vlmevalkit: F1 of all rows, one that names several
    categories with commas counting in each. lmms-eval: F1 of all rows, and answers that are neither are no
    misses.
    """
    houses = {"official": _mean_of_f1, "vlmevalkit": _f1_of_all, "lmms-eval": _strict_f1}
    combined = houses[one_of("rules", rules, houses)]

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        groups: dict[str, list[Graded]] = {}
        for each in graded if category else ():
            for name in column(each, category or "").split(","):
                groups.setdefault(name, []).append(each)
        every = [each for members in groups.values() for each in members] if groups else list(graded)
        strict = rules == "lmms-eval"
        found = {name: YesNoCounts.of(members).figures(strict) for name, members in groups.items()}
        named = {
            f"{category}={name}: {figure}": value
            for name, of in found.items()
            for figure, value in of.items()
        }
        return {OVERALL: combined(found, every)} | YesNoCounts.of(every).figures(strict) | named

    return figures


class HallusionAccuracies:
    """aAcc (questions), fAcc (figures whose questions are all right), qAcc (questions right of all figures).

    `OVERALL` is their mean, × 100. The set, figure and question stand in columns `set_id`, `figure_id` and
    `question_id`, or in the index as in `VD_illusion_0_0_1_2`; `l2-category` or `subcategory` keeps equal
    numbers apart.
    """

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """All three, also of every category."""
        found = _three(graded)
        for name in ("category", "l2-category"):
            if all(name in each.reference.fields for each in graded):
                for value, members in by_column(graded, name).items():
                    found |= {
                        f"{name}={value}: {figure}": number for figure, number in _three(members).items()
                    }
        return found

    def together(self, graded: Sequence[Graded], /) -> Sequence[tuple[str, str]]:
        """Sets: what figures and questions have in common."""
        return [_set_of(each) for each in graded]


def hallusion_figures() -> HallusionAccuracies:
    """See `HallusionAccuracies`."""
    return HallusionAccuracies()


def amber_figures(category: str = "category") -> Aggregate:
    """Accuracy × 100 of attribute, existence and relation; `OVERALL` is their mean."""

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        groups: dict[str, list[float]] = {}
        for each in graded:
            name = column(each, category)
            groups.setdefault(_AMBER.get(name, name), []).append(each.verdict.score)
        found = {name: percent(scores) for name, scores in groups.items()}
        overall = sum(found.values()) / len(found) if found else 0.0
        return {OVERALL: overall} | {f"{category}={name}": found[name] for name in found}

    return figures


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _pairs(members: Sequence[Graded]) -> list[list[Graded]]:
    return [list(members[at : at + 2]) for at in range(0, len(members), 2)]


def _mean_of_f1(found: Mapping[str, Mapping[str, float]], every: Sequence[Graded]) -> float:
    each = [of["f1"] for of in found.values()] or [YesNoCounts.of(every).figures()["f1"]]
    return sum(each) / len(each)


def _f1_of_all(found: Mapping[str, Mapping[str, float]], every: Sequence[Graded]) -> float:
    return YesNoCounts.of(every).figures()["f1"]


def _strict_f1(found: Mapping[str, Mapping[str, float]], every: Sequence[Graded]) -> float:
    return YesNoCounts.of(every).figures(strict=True)["f1"]


def _three(graded: Sequence[Graded]) -> dict[str, float]:
    figures, questions = _sets(graded, "figure_id", 4), _sets(graded, "question_id", 5)
    found = {"aAcc": percent(scores_of(graded)), "fAcc": percent(figures), "qAcc": percent(questions)}
    return {OVERALL: sum(found.values()) / 3} | found


def _sets(graded: Sequence[Graded], name: str, place: int) -> list[float]:
    """1 for each set of answers that are all right; a set shares category, set and the column `name`."""
    sets: dict[tuple[str, str, str], bool] = {}
    for each in graded:
        key = *_set_of(each), _of_index(each, name, place)
        sets[key] = sets.get(key, True) and each.verdict.score == 1
    return [float(right) for right in sets.values()]


def _set_of(each: Graded) -> tuple[str, str]:
    fields = each.reference.fields
    return str(fields.get("l2-category", fields.get("subcategory", ""))), _of_index(each, "set_id", 3)


def _of_index(each: Graded, name: str, place: int) -> str:
    if name in each.reference.fields:
        return str(each.reference.fields[name])
    parts = each.index.split("_")
    if len(parts) <= place:
        raise ValueError(
            f"question {each.index[:40]!r}: no column {name!r}, and the index no part {place + 1} between _"
        )
    return parts[place]
