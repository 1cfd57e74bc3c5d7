r"""One formula of an answer to numbers: a small reader of LaTeX and plain arithmetic.

By hand, because the library for it, math-verify (sympy and an ANTLR grammar), is not installed everywhere and
takes some ten milliseconds an answer; this takes some twenty microseconds. Delete it when math-verify is a
requirement. It knows numbers, fractions, mixed numbers, roots, powers, the usual functions, and letters as
unknowns; what it does not know is no formula, and then answers are compared as text.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Letters = Mapping[str, float]
"""Values of the unknowns."""
Formula = Callable[[Letters], complex]

MOST_CHARACTERS = 400
_DEEPEST = 40
_MOST_LETTERS = 3
"""Letters in a row that are still a product: four are a word."""
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+|[a-zA-Z]+|[^\s]|\s+")
_FUNCTIONS: Mapping[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "ln": cmath.log,
    "log": cmath.log10,
    "exp": cmath.exp,
    "sqrt": cmath.sqrt,
    "abs": lambda x: complex(abs(x)),
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "i": 1j}
_DIGITS = "0123456789"
_GREEK = "alpha beta gamma delta theta lambda mu phi omega infty"


class NoFormula(ValueError):
    """A text that this reader does not take for a formula."""


def read_formula(text: str) -> Formula:
    """The formula of a text that `plain_formula` made; NoFormula for any other text."""
    if len(text) > MOST_CHARACTERS:
        raise NoFormula("too long")
    tokens = [token for token in _TOKEN.findall(text) if not token.isspace()]
    reader = _Reader(tokens)
    formula = reader.sum()
    if reader.left:
        raise NoFormula(f"{reader.left[-1]} is left")
    return formula


@dataclass
class _Reader:
    """Recursive descent over the tokens; `left` is the stack of those to come."""

    left: list[str]
    depth: int = 0

    def __post_init__(self) -> None:
        self.left.reverse()

    def sum(self) -> Formula:
        """Terms with signs between them."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise NoFormula("too deep")
        total = self.product()
        while self.next in ("+", "-"):
            total = _combined(self.left.pop(), total, self.product())
        self.depth -= 1
        return total

    def product(self) -> Formula:
        """Factors, with or without a sign between them."""
        total = self.signed()
        while self.next:
            if self.next in ("*", "/"):
                total = _combined(self.left.pop(), total, self.signed())
            elif self._begins_factor():
                total = _combined("*", total, self.power())
            else:
                break
        return total

    def signed(self) -> Formula:
        """A factor behind any number of signs."""
        negative = False
        while self.next in ("+", "-"):
            negative ^= self.left.pop() == "-"
        factor = self.power()
        return (lambda at: -factor(at)) if negative else factor

    def power(self) -> Formula:
        """An atom, to a power when one follows."""
        base = self.atom()
        if self.next != "^":
            return base
        self.left.pop()
        exponent = self.signed()
        return lambda at: _raised(base(at), exponent(at))

    def atom(self) -> Formula:
        """A number, letter, group, fraction, root or function."""
        token = self._take()
        name = token.lstrip("\\")
        if token[0] != "\\" and token[-1] in _DIGITS:
            return self._number(token)
        if token in ("(", "[", "{", "|"):
            return self._group(token)
        if token == "\\frac":
            return _combined("/", self._argument(), self._argument())
        if token == "\\sqrt" and self.next == "[":
            self.left.pop()
            degree = self._group("[")
            inside = self._argument()
            return lambda at: _raised(inside(at), 1 / degree(at))
        if name in _FUNCTIONS:
            return self._function(name)
        return self._letters(token)

    @property
    def next(self) -> str:
        """The token to come, "" at the end."""
        return self.left[-1] if self.left else ""

    def _take(self) -> str:
        if not self.left:
            raise NoFormula("ends too early")
        return self.left.pop()

    def _begins_factor(self) -> bool:
        return self.next[0] in "({.\\" or self.next[0].isalnum()

    def _number(self, token: str) -> Formula:
        value = float(token)
        if "." not in token and self.next == "\\frac" and all(_is_digits(self.left, at) for at in (3, 6)):
            fraction = self.atom()  # 3\frac{1}{2} is 3.5
            return lambda at: value + fraction(at)
        return lambda at: value

    def _group(self, opening: str) -> Formula:
        inside = self.sum()
        if self._take() != {"(": ")", "[": "]", "{": "}", "|": "|"}[opening]:
            raise NoFormula("brackets do not match")
        return (lambda at: complex(abs(inside(at)))) if opening == "|" else inside

    def _argument(self) -> Formula:
        """A group in braces, or the one sign that LaTeX takes without them."""
        if self.next[:1] in _DIGITS and len(self.next) > 1 and "." not in self.next:
            digits = self.left.pop()
            self.left += [digits[1:], digits[0]]
        return self.atom()

    def _function(self, name: str) -> Formula:
        function = _FUNCTIONS[name]
        exponent: Formula | None = None
        if self.next == "^":
            self.left.pop()
            exponent = self._argument()
        inside = self._argument() if name == "sqrt" else self.power()
        if exponent is None:
            return lambda at: function(inside(at))
        power = exponent
        return lambda at: _raised(function(inside(at)), power(at))

    def _letters(self, token: str) -> Formula:
        name = token.lstrip("\\")
        if token.startswith("\\"):
            if name not in _CONSTANTS and name not in _GREEK.split():
                raise NoFormula(f"{token} is unknown")
            names = [name]
        elif token == "pi":
            names = [token]
        elif token.isascii() and token.isalpha() and len(token) <= _MOST_LETTERS:
            names = list(token)
        else:
            raise NoFormula(f"{token} is unknown")
        if self.next == "_":
            self.left.pop()
            names[-1] += "_" + self._subscript()

        def product(at: Letters) -> complex:
            return math.prod(_CONSTANTS[one] if one in _CONSTANTS else at[one] for one in names)

        return product

    def _subscript(self) -> str:
        token = self._take()
        if token != "{":
            return token
        inside = self._take()
        if self._take() != "}":
            raise NoFormula("a subscript of several signs")
        return inside


def _is_digits(left: list[str], place: int) -> bool:
    r"""Whether the token that stands so far behind is a number, as in the stack of `\frac { 1 } { 2 }`."""
    return len(left) >= place and left[-place].isdigit()


def _combined(sign: str, one: Formula, two: Formula) -> Formula:
    match sign:
        case "+":
            return lambda at: one(at) + two(at)
        case "-":
            return lambda at: one(at) - two(at)
        case "*":
            return lambda at: one(at) * two(at)
    return lambda at: one(at) / two(at)


def _raised(base: complex, exponent: complex) -> complex:
    if base.imag == 0 and base.real < 0 and (1 / exponent if exponent else 1) == 3:
        return complex(-((-base.real) ** (1 / 3)))  # the real cube root
    return complex(base) ** exponent
