"""Answers that are equal by value, as MathVision's scripts ask Python and a reader of LaTeX."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

from tessera.scoring.reasoned.expression import plain_formula
from tessera.scoring.reasoned.values import NoFormula, read_formula

_CLOSE = 1e-6
_LONGEST = 200
_MOST_BITS = 4096
_ARITHMETIC = re.compile(
    r"(?:\\[dt]?frac(?=\s*\{)|\\cdot|\\times|\\div|\\left|\\right|\\[,;! ]|\^\{?\\circ\}?"
    r"|\d\.(?=\d)|[\d\s+\-*/^(){}$,])+"
)
"""What their reader of LaTeX turns into plain arithmetic: no letters, roots or functions, no `5.`."""
_DEGREES = re.compile(r"\^\{?\\circ\}?")
_SIGNS: Mapping[type[ast.AST], Callable[..., complex]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def same_value(said: str, right: str) -> bool:
    """Equal without case and outer space, or numbers within 1e-6 as Python or as LaTeX arithmetic.

    As published `a` equals every number: the script evaluates it where its variable `a` is that number. And
    `2^3` is 1 for Python, 8 for LaTeX.
    """
    said, right = said.lower().strip(), right.lower().strip()
    if said == right:
        return True
    values = [(value(said), value(right)) for value in (python_value, latex_value)]
    return any(_near(*pair) or (said == "a" and pair[1] is not None) for pair in values)


def python_value(text: str) -> complex | None:
    """The number that Python makes of arithmetic; None for anything else, and for too large powers."""
    if len(text) > _LONGEST:
        return None
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, TypeError, RecursionError, MemoryError):
        return None


def latex_value(text: str) -> complex | None:
    r"""The number of LaTeX arithmetic such as `\frac{1}{2}` or `2^{3}`; None with letters or functions."""
    if not _ARITHMETIC.fullmatch(text):
        return None
    try:
        return complex(read_formula(plain_formula(_DEGREES.sub("", text)))({}))
    except (NoFormula, ArithmeticError, ValueError):
        return None


def _value(node: ast.AST) -> complex:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex):
        return node.value
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _SIGNS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        if isinstance(node.op, ast.BitXor) and isinstance(left, int) and isinstance(right, int):
            return left ^ right
        if type(node.op) in _SIGNS:
            return _SIGNS[type(node.op)](left, right)
    raise ValueError("no arithmetic")


def _power(left: complex, right: complex) -> complex:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > _MOST_BITS:
        raise ValueError("too large a power")
    power: complex = left**right
    return power


def _near(one: complex | None, two: complex | None) -> bool:
    return one is not None and two is not None and abs(one - two) < _CLOSE
