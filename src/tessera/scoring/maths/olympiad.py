"""OlympiadBench: lists of values, expressions, equations and intervals, each within its own tolerance."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tessera.scoring.reasoned.expression import expression_score, plain_formula
from tessera.scoring.reasoned.values import Formula, NoFormula, read_formula
from tessera.scoring.settings import one_of
from tessera.scoring.verdict import Reference, Scorer, Verdict

PRECISION = 1e-8
_SLACK = 1.01
_LONGEST = 300
_SAID = {False: re.compile("So the final answer is (.*)"), True: re.compile("所以最终答案是(.*)")}
_DOLLARS = re.compile(r"\$(.*?)\$")
_UPRIGHT = re.compile(r"\\(?:mathrm|mathbf)\{~?([^}]*)\}")
_CHINESE = re.compile("[\u4e00-\u9fff]+")
_LONE_E = re.compile(r"(?<![a-zA-Z\\])e(?![a-zA-Z])")
_BOX = "\\boxed{"
_CHANGED = (
    *(
        ("\\left", ""),
        ("\\right", ""),
        ("∶", ":"),
        ("，", ","),
        ("$", ""),
        ("\\approx", "="),
        ("\\simeq", "="),
    ),
    *(("\\sim", "="), ("^\\prime", "'"), ("^{\\prime}", "'"), ("^\\circ", ""), ("%", "")),
)
_ALIKE = (
    *((r"\\[dt]frac", r"\\frac"), (r"\\frac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}")),
    *((r"\\(?:times|cdot)(?![a-z])", "*"), (r"\s+", ""), (r"(?<!\d)\*|\*(?!\d)", "")),
    (r"\\frac\{(\w+)\}\{(\w+)\}", r"\1/\2"),
    *((r"(?<![\w}])\{(\w+)\}", r"\1"), (r"^\(([^()]*)\)$", r"\1")),
)
"""What is the same formula to a reader of LaTeX that computes nothing."""
_OUTER = "\n$,.:;^_=+`!@#$%^&*~，。"


def olympiadbench_scorer(rules: str = "vlmevalkit", source: str = "source", error: str = "error") -> Scorer:
    """1 where all parts of the answer pair off with all parts of the right one.

    source: column whose text holds `zh` for Chinese questions. error: column with the tolerance, or one for
    each part between commas. rules: official (the organisers': expressions are equal by their values), or
    vlmevalkit, whose copy breaks off there: expressions must be written alike, numbers and equations not.
    """
    values = one_of("rules", rules, ("vlmevalkit", "official")) == "official"

    def score(prediction: str, reference: Reference, /) -> Verdict:
        fields = reference.fields
        said = final_answer(prediction, "zh" in str(fields.get(source, "")))
        tuples = "Tuple" in str(fields.get("answer_type", ""))
        right = ",".join(map(_unlisted, reference.answers))
        same = same_answers(said, right, [PRECISION] if tuples else tolerances(fields.get(error)), values)
        return Verdict(float(same), said.strip(), "every part has its match" if same else "parts differ")

    return score


def _unlisted(answer: str) -> str:
    """A list of one text as the files write it, `['…']`, as that text."""
    listed = answer[:2] in ("['", '["') and answer[-2:] in ("']", '"]')
    return answer[2:-2] if listed else answer


def final_answer(prediction: str, chinese: bool) -> str:
    """The line behind the last announcement of the language, else all."""
    found = _SAID[chinese].findall(prediction)
    return found[-1].strip() if found else prediction


def tolerances(given: object) -> list[float]:
    """Of the column: 1e-8 where it is empty."""
    text = "" if given is None else str(given).strip()
    if text.lower() in ("", "nan", "none"):
        return [PRECISION]
    try:
        return [float(part) if part.strip() else PRECISION for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"error: {text[:60]!r} is no tolerance; give numbers with commas between them"
        ) from None


def same_answers(
    said: str, right: str, precisions: Sequence[float] = (PRECISION,), values: bool = True
) -> bool:
    """Whether the parts of both pair off, in any order; a `\\pm` is two parts.

    values: expressions are compared by their values, else as they are written.
    """
    try:
        said, right = prepared(said), prepared(right)
    except ValueError:
        return False
    if said == right:
        return True
    ones, twos = _parts(_CHINESE.sub("", said)), _parts(_CHINESE.sub("", right))
    if len(ones) != len(twos):
        return False
    left = [*precisions] * (len(ones) if len(precisions) == 1 else 1)
    at = -1
    while ones:
        at = (at + 1) % len(ones)
        precision = left[min(at, len(left) - 1)]
        match = next((two for two in twos if _same_part(ones[at], two, precision, values)), None)
        if match is None:
            return False
        ones.remove(ones[at])
        twos.remove(match)
        left.remove(precision)
    return True


def prepared(text: str) -> str:
    """The contents of all boxes, else of all `$…$` of the last line, else all; without mere decoration.

    ValueError where a box is not closed.
    """
    dollars = "".join(f"{part}," for part in _DOLLARS.findall(text.strip().split("\n")[-1]))
    text = _boxes(text) or dollars or text
    if "\\in " in text:
        text = text.split("\\in ")[1]
    for sign, other in _CHANGED:
        text = text.replace(sign, other)
    return _UPRIGHT.sub(r"\1", text.strip(_OUTER))


def _boxes(text: str) -> str:
    found = ""
    for start in (match.end() for match in re.finditer(re.escape(_BOX), text)):
        depth, at = 1, start
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        if depth:
            raise ValueError("a box is not closed")
        found += text[start : at - 1] + ","
    return found


def _parts(text: str) -> list[str]:
    """At commas outside round and square brackets; then both signs of a `\\pm`."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    if start < len(text):
        parts.append(text[start:].strip())
    return [
        part.replace("\\pm", sign) for part in parts for sign in (("+", "-") if "\\pm" in part else ("\\pm",))
    ]


def _same_part(one: str, two: str, precision: float, values: bool) -> bool:
    if one == two:
        return one != ""
    if _is_interval(one) and _is_interval(two):
        return _same_intervals(one, two, precision, values)
    if _same_number(one, two, precision):
        return True
    if "=" in one and "=" in two:
        return bool(expression_score(one, two))
    return _same_expression(one, two, precision, values)


def _is_interval(text: str) -> bool:
    return text.startswith(("(", "[")) and text.endswith((")", "]"))


def _same_intervals(one: str, two: str, precision: float, values: bool) -> bool:
    ones, twos = one.split("\\cup"), two.split("\\cup")
    return len(ones) == len(twos) and all(
        a[:1] == b[:1]
        and a[-1:] == b[-1:]
        and all(
            _same_expression(x, y, precision, values)
            for x, y in zip(a.strip("[]()").split(","), b.strip("[]()").split(","), strict=False)
        )
        for a, b in zip(ones, twos, strict=True)
    )


def _same_number(one: str, two: str, precision: float) -> bool:
    """Within the tolerance, or a hundred times more or less: a percent sign may be missing."""
    try:
        value, other = float(one), float(two)
    except ValueError:
        return False
    return any(abs(each - other) <= precision * _SLACK for each in (value / 100, value, value * 100))


def _same_expression(one: str, two: str, precision: float, values: bool) -> bool:
    """What stands behind the first `=` of each: numbers within the tolerance, formulas by their values."""
    one, two = (text.split("=")[1].strip() if "=" in text else text.strip() for text in (one, two))
    if one == two or not values:
        return _written(one) == _written(two)
    if one.endswith("\\") or two.endswith("\\"):  # what is left of `50\%` is no LaTeX to the organisers
        return False
    numbers = _constant(one), _constant(two)
    if numbers[0] is not None and numbers[1] is not None:
        long = max(len(one), len(two)) > _LONGEST
        return not long and abs(numbers[0] - numbers[1]) <= precision * _SLACK
    return bool(numbers[0] is None and numbers[1] is None and expression_score(one, two))


def _written(text: str) -> str:
    """One way to write fractions, products, powers and brackets of a single name or number; no spaces."""
    for pattern, kept in _ALIKE:
        text = re.sub(pattern, kept, text)
    return text


def _constant(text: str) -> complex | None:
    """The value of a formula without unknowns; `e` is one."""
    if _LONE_E.search(text):
        return None
    try:
        formula: Formula = read_formula(plain_formula(text))
        return complex(formula({}))
    except (NoFormula, KeyError, ArithmeticError, ValueError):
        return None
