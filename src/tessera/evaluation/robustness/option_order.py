"""Whether the order of options decides: the same questions with rotated options, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tessera.evaluation.comparing.resampling import Unit
from tessera.scoring.ratio import Ratio
from tessera.scoring.verdict import Graded, Reference

MARK = "#rotated-"
"""Between a question's index and how far its options were rotated."""
SAME, ALL_RIGHT = "same choice in every order", "right in every order"


def base_of(graded: Graded) -> str:
    """The index of the question without its rotation."""
    return graded.index.partition(MARK)[0]


def rotations_of(
    index: str, reference: Reference, most: int | None = None
) -> Iterator[tuple[str, Reference]]:
    """The question's other orders, each option at every letter once: indexes and references.

    most: only so many of them, evenly. Nothing for a question with fewer than two options, or whose right
    answer is none of them.
    """
    count = len(reference.options)
    if count < 2 or not all(choice_of(answer, reference.options) for answer in reference.answers):
        return
    steps = range(1, count) if most is None else sorted({1 + at * (count - 1) // most for at in range(most)})
    for step in steps:
        yield f"{index}{MARK}{step}", rotated(reference, step)


def rotated(reference: Reference, step: int) -> Reference:
    """Every option `step` letters further; right answers that are letters go with them, columns too.

    >>> rotated(Reference(("A",), {"A": "cat", "B": "dog", "C": "cow"}), 1)
    Reference(answers=('B',), options={'A': 'cow', 'B': 'cat', 'C': 'dog'}, question='', fields={})
    """
    letters, texts = list(reference.options), list(reference.options.values())
    count = len(letters)
    moved = {letter: letters[(at + step) % count] for at, letter in enumerate(letters)}
    options = {letter: texts[(at - step) % count] for at, letter in enumerate(letters)}
    answers = tuple(moved.get(answer, answer) for answer in reference.answers)
    return replace(reference, options=options, answers=answers, fields=_fields(reference, moved, options))


def _fields(reference: Reference, moved: Mapping[str, str], options: Mapping[str, str]) -> dict[str, Any]:
    """Columns that hold an option's text under its letter, or the right letter, say the same as before."""
    fields = dict(reference.fields)
    for letter, text in reference.options.items():
        if fields.get(letter) == text:
            fields[letter] = options[letter]
    for name in ("answer", "Answer", "gt"):
        value = fields.get(name)
        if isinstance(value, str) and value in reference.answers:
            fields[name] = moved.get(value, value)
    return fields


@dataclass(frozen=True)
class OptionOrder:
    """Questions with options that were asked in several orders: rotated here, or of one unit in the data.

    Percent of questions with the same choice in every order, and right in every order; accuracy where the
    right option stands at a letter; how often a letter is chosen less how often it is right.
    """

    unit: Unit | None = None

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """By name; empty where nothing was asked in two orders."""
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """The same as ratios; the first order of a question carries what is said of all its orders."""
        orders: dict[object, list[int]] = {}
        for at, one in enumerate(graded):
            if one.reference.options:
                orders.setdefault(self._question(one), []).append(at)
        several = [places for places in orders.values() if len(places) > 1]
        if not several:
            return {}
        same = [places[0] for places in several if _same_choice([graded[at] for at in places])]
        right = [places[0] for places in several if all(graded[at].verdict.score >= 1 for at in places)]
        firsts = _marked(len(graded), (places[0] for places in several))
        return {
            SAME: Ratio(_marked(len(graded), same), firsts),
            ALL_RIGHT: Ratio(_marked(len(graded), right), firsts),
        } | _by_letter(graded, [at for places in several for at in places])

    def _question(self, one: Graded) -> object:
        """Equal for the orders of one question; a unit may hold several questions about a picture."""
        name = base_of(one) if self.unit is None or MARK in one.index else self.unit(one)
        return name, one.reference.question, frozenset(one.reference.options.values())


def _by_letter(graded: Sequence[Graded], places: Sequence[int]) -> dict[str, Ratio]:
    """Accuracy and bias of each letter over answers to questions that have it."""
    letters = sorted({letter for at in places for letter in graded[at].reference.options})
    count, found = len(graded), dict[str, Ratio]()
    truths = {at: right_choices(graded[at]) for at in places}
    for letter in letters:
        at_letter = [at for at in places if letter in truths[at]]
        scores = [0.0] * count
        for at in at_letter:
            scores[at] = graded[at].verdict.score
        if at_letter:
            found[f"right option at {letter}"] = Ratio(scores, _marked(count, at_letter))
        offered, bias = [at for at in places if letter in graded[at].reference.options], [0.0] * count
        for at in offered:
            bias[at] = float(chosen(graded[at]) == letter) - float(letter in truths[at])
        found[f"bias to {letter}"] = Ratio(bias, _marked(count, offered))
    return found


def chosen(one: Graded) -> str | None:
    """The letter of the option that was taken for the answer."""
    return choice_of(one.verdict.extracted or "", one.reference.options)


def right_choices(one: Graded) -> set[str]:
    """Letters of the right options."""
    letters = (choice_of(answer, one.reference.options) for answer in one.reference.answers)
    return {letter for letter in letters if letter is not None}


def choice_of(text: str, options: Mapping[str, str]) -> str | None:
    """A letter, or an option's whole text, to the letter."""
    if text in options:
        return text
    return next((letter for letter, option in options.items() if option == text), None)


def _same_choice(orders: Iterable[Graded]) -> bool:
    texts = {one.reference.options.get(chosen(one) or "") for one in orders}
    return len(texts) == 1 and None not in texts


def _marked(count: int, places: Iterable[int]) -> list[float]:
    marks = [0.0] * count
    for at in places:
        marks[at] = 1.0
    return marks
