r"""Whether two answers mean the same value: numbers, units, fractions, LaTeX, lists, intervals, equations.

Formulas are compared by their values at fixed points, so that `2(x+1)` is `2x + 2`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from tessera.scoring.reasoned.extraction import last_box
from tessera.scoring.reasoned.units import split_unit
from tessera.scoring.reasoned.values import MOST_CHARACTERS, Formula, NoFormula, read_formula

TOLERANCE = 1e-6
"""Relative: six digits, as math-verify rounds."""
_POINTS = 3
_SIGNS = str.maketrans("−–×·⋅÷，（）、：＝", "--***/,(),:=") | str.maketrans(
    {"π": "\\pi ", "√": "\\sqrt ", "∞": "\\infty ", "±": "\\pm ", "≤": "<=", "≥": ">=", "²": "^2", "³": "^3"}
    | {"½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "。": "", "$": ""}
)
_COMMANDS = (
    dict.fromkeys(("\\dfrac", "\\tfrac", "\\cfrac"), "\\frac")
    | dict.fromkeys(("\\left", "\\right", "\\big", "\\Big", "\\displaystyle", "\\angle"), "")
    | dict.fromkeys(("\\quad", "\\qquad"), " ")
    | dict.fromkeys(("\\cdot", "\\times"), "*")
    | dict.fromkeys(("\\degree", "\\circ"), "°")
    | dict.fromkeys(("\\leq", "\\le", "\\leqslant"), "<=")
    | dict.fromkeys(("\\geq", "\\ge", "\\geqslant"), ">=")
    | {"\\lt": "<", "\\gt": ">", "\\div": "/", "\\cup": "∪", "\\lvert": "|", "\\rvert": "|"}
)
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_ESCAPED = re.compile(r"\\([{}%$])|\\(?=\s|$)")
_SPACES = re.compile(r"\\[,;:! ]|~")
_WORDS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textrm|mbox|operatorname)\s*\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![\d.])(\d{1,3}(?:(?:,|\{,\})\d{3})+)(?![\d,])")
_MIXED = re.compile(r"(?<![\d.])(\d+)\s+(\d+)\s*/\s*(\d+)(?!\d)")
_LABEL = re.compile(r"^[A-Za-z](?:_\{?\w{1,3}\}?)?(?:\([a-z]\))?$|^\\[a-z]+$")
_RELATION = re.compile(r"<=|>=|<|>|=|\\neq?|≠|\\in(?![a-z])|\\approx|≈")
_SEPARATOR = re.compile(r"\s+(?:and|or)\s+|[和或]")
_OPENING, _CLOSING = "([{", ")]}"


def expression_score(prediction: str, target: str) -> float:
    """1 when both answers mean the same value, else 0; also when one of them is no formula.

    A unit must be the same where both have one. Lists and sets have no order, pairs and intervals have one.

    >>> expression_score(r"\\frac{1}{2}", "0.5"), expression_score("x = 3, x = 1", r"\\{1, 3\\}")
    (1.0, 1.0)
    """
    if len(prediction) > MOST_CHARACTERS or len(target) > MOST_CHARACTERS:
        return 0.0
    one, two = plain_formula(prediction), plain_formula(target)
    if (word := one.lower().strip("() ")) == two.lower().strip("() "):  # \text{(B)} is B
        return float(bool(word))
    if not one or not two or not any(c.isdigit() or c in "+-*/^=<>\\" for c in one + two):
        return 0.0  # words are compared as words
    return float(_same_list(_split(one, "∪"), _split(two, "∪"), ordered=False))


@lru_cache(2048)
def plain_formula(text: str) -> str:
    """One way to write each sign; no wording of LaTeX, no delimiters, no commas of thousands."""
    box = last_box(text)
    text = _WORDS.sub(r"\1", text if box is None else box)
    text = _ESCAPED.sub(r"\1", text).translate(_SIGNS)
    text = re.sub(r"\\[\[\]()]", "", _SPACES.sub(" ", text))
    text = _COMMAND.sub(lambda found: _COMMANDS.get(found[0], found[0]), text)
    text = re.sub(r"\^\s*(?:°|\{\s*°\s*\})", "°", text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    text = _THOUSANDS.sub(lambda found: re.sub(r"[,{}]", "", found[1]), text)
    return text.strip().rstrip(".").strip()


def _same_list(ones: Sequence[str], twos: Sequence[str], ordered: bool) -> bool:
    """Whether the parts are the same, one to one."""
    if len(ones) != len(twos):
        return False
    if ordered or len(ones) == 1:
        return all(map(_same_part, ones, twos))
    left = list(twos)
    for one in ones:
        at = next((at for at, two in enumerate(left) if _same_part(one, two)), None)
        if at is None:
            return False
        del left[at]
    return True


def _same_part(one: str, two: str) -> bool:
    """Whether two texts without a union mean the same: lists, pairs, relations, values."""
    outside_one, parts_one = _parts(one)
    outside_two, parts_two = _parts(two)
    if len(parts_one) == len(parts_two) == 1:
        return _same_relation(parts_one[0], parts_two[0])
    if outside_one and outside_two and outside_one != outside_two:
        return False
    pair = (outside_one or outside_two) not in ("", "{}")
    if pair and (outside_one or outside_two) in ("(]", "[)") and outside_one != outside_two:
        return False
    return _same_list(parts_one, parts_two, ordered=pair)


def _parts(text: str) -> tuple[str, list[str]]:
    """The brackets around a whole text ("" without any), and what commas and words divide inside."""
    text = text.strip()
    outside = ""
    while len(text) > 1 and text[0] in _OPENING and text[-1] in _CLOSING and _encloses(text):
        inside = text[1:-1]
        parts = _split(inside, ",")
        matching = _CLOSING[_OPENING.index(text[0])] == text[-1]
        if len(parts) == 1 and not matching:
            break
        outside, text = text[0] + text[-1], inside
        if len(parts) > 1:
            break
    parts = [part for listed in _split(text, ",") for part in _SEPARATOR.split(listed) if part.strip()]
    return outside, [half for part in parts for half in _both_signs(part)]


def _both_signs(part: str) -> list[str]:
    return [part.replace("\\pm", sign) for sign in "+-"] if "\\pm" in part else [part]


def _encloses(text: str) -> bool:
    """Whether the bracket that a text begins with closes at its end."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth == 0:
            return at == len(text) - 1
    return False


def _split(text: str, separator: str) -> list[str]:
    """What stands between separators that no bracket encloses."""
    parts, depth, begin = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == separator and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]


def _same_relation(one: str, two: str) -> bool:
    """Equations, inequalities and values. `x = 5` is 5 where the other has no relation."""
    sides_one, signs_one = _sides(one)
    sides_two, signs_two = _sides(two)
    if not signs_one or not signs_two:
        named = all(
            not signs or (signs == ["="] and _LABEL.match(sides[0]))
            for sides, signs in ((sides_one, signs_one), (sides_two, signs_two))
        )
        return named and _same_value(sides_one[-1], sides_two[-1])
    if signs_one != signs_two:
        return False
    if all(map(_same_value, sides_one, sides_two)):
        return True
    return signs_one == ["="] and _same_equation(sides_one, sides_two)


def _sides(text: str) -> tuple[list[str], list[str]]:
    """The sides of a relation and the signs between them, turned so that signs point to the greater side."""
    signs = ["=" if sign in ("≈", "\\approx") else sign for sign in _RELATION.findall(text)]
    sides = [side.strip() for side in _RELATION.split(text)]
    if sides[0] == "":  # "= 5"
        sides, signs = sides[1:] or [""], signs[1:]
    if signs and all(sign in (">", ">=") for sign in signs):
        sides, signs = sides[::-1], [sign.replace(">", "<") for sign in signs[::-1]]
    return sides, signs


def _same_equation(one: Sequence[str], two: Sequence[str]) -> bool:
    """Whether one is the other times a number."""
    formulas = [_formula(f"({left}) - ({right})") for left, right in (one, two)]
    values = [_values(formula) for formula in formulas if formula]
    if len(values) < 2 or not all(values) or any(abs(y) < 1e-9 for y in values[1]):
        return False
    ratios = [x / y for x, y in zip(*values, strict=True)]
    return abs(ratios[0]) > 1e-9 and all(_close(ratio, ratios[0]) for ratio in ratios)


def _same_value(one: str, two: str) -> bool:
    """Whether two formulas have the same values, with their units as letters or as units."""
    one, two = one.strip(), two.strip()
    if one.isdecimal() and two.isdecimal():
        return one.lstrip("0") == two.lstrip("0")
    if _same_formula(one, two):
        return True
    (value_one, unit_one), (value_two, unit_two) = split_unit(one), split_unit(two)
    if not (unit_one or unit_two) or (unit_one and unit_two and unit_one != unit_two):
        return False
    return _same_formula(value_one, value_two)


def _same_formula(one: str, two: str) -> bool:
    formulas = _formula(one), _formula(two)
    if formulas[0] is None or formulas[1] is None:
        return False
    values = _values(formulas[0]), _values(formulas[1])
    return bool(values[0] and values[1]) and all(map(_close, *values))


@lru_cache(4096)
def _formula(text: str) -> Formula | None:
    try:
        return read_formula(text)
    except NoFormula:
        return None


def _values(formula: Formula) -> list[complex]:
    """Its values at fixed points; none where it has none."""
    try:
        return [complex(formula(_Point(number))) for number in range(_POINTS)]
    except (OverflowError, ZeroDivisionError, ValueError):
        return []


class _Point(dict[str, float]):
    """A value between 0.5 and 1.5 for every letter, always the same one."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __missing__(self, name: str) -> float:
        return 0.5 + crc32(f"{self._number} {name}".encode()) / 2**32


def _close(one: complex, two: complex) -> bool:
    return abs(one - two) <= max(TOLERANCE * max(abs(one), abs(two)), 1e-12)
