r"""Which answers to one question mean the same: options, words, numbers, units, fractions, LaTeX.

Stricter than judging against a known answer: 1000 and 1001 are two answers, though judging takes 0.1 % for
equal. Joined are answers that are the same or are joined through others, so that their order plays no part:
5 cm and 5 m are two answers, and one where a bare 5 stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from tessera.scoring.reasoned.expression import expression_score
from tessera.scoring.reasoned.vqa import same_signs
from tessera.scoring.texts.vqa_words import normalise_vqa

_WRAPPED = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_OPTION = re.compile(
    r"(?:[(\[]([a-z])[)\]]|([a-z])\)|([a-j])(?:[.:、：](?!\d)|$))[.:]?\s*(.*)", re.DOTALL | re.IGNORECASE
)
_FORMAL = re.compile(r"[,/^*=\\:_]")
_DIGIT = re.compile(r"\d")
_words = lru_cache(2048)(normalise_vqa)
"""Of many candidates each is compared with all others."""


def same_answer(one: str, two: str) -> bool:
    r"""Whether two answers mean the same; case does not count. Symmetric.

    >>> same_answer(r"\frac{1}{2}", "0.5"), same_answer("(B) a cat", "B"), same_answer("1000", "1001")
    (True, True, False)
    """
    one, two = _bare(one), _bare(two)
    if one.lower() == two.lower():
        return bool(one)
    first, second = _option(one), _option(two)
    if first and second:
        said, other = first[1], second[1]
        return first[0] == second[0] and (not said or not other or _same_value(said, other))
    words = [(option[1], text) for option, text in ((first, two), (second, one)) if option and option[1]]
    return any(_same_value(*pair) for pair in words) or _same_value(one, two)


def clusters(
    answers: Sequence[str | None], same: Callable[[str, str], bool] = same_answer
) -> tuple[int | None, ...]:
    """The cluster of each answer, numbered as they are first seen; None for what is no answer, or blank.

    >>> clusters(["4", "four", None, "5", "4.0"])
    (0, 0, None, 1, 0)
    """
    keys = [answer.strip().lower() if answer else "" for answer in answers]
    distinct = [key for key in dict.fromkeys(keys) if key]
    root = {key: key for key in distinct}
    for at, one in enumerate(distinct):
        for two in distinct[:at]:
            if root[one] != root[two] and same(two, one):
                root = {key: root[two] if found == root[one] else found for key, found in root.items()}
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(root[key], len(numbers)) if key else None for key in keys)


def _bare(text: str) -> str:
    """Without dollars, a full stop at the end, and the wording of LaTeX around the whole."""
    text = text.strip().strip("$").strip()
    wrapped = _WRAPPED.fullmatch(text)
    return (wrapped[1] if wrapped else text).strip().removesuffix(".").strip()


@lru_cache(2048)
def _option(text: str) -> tuple[str, str] | None:
    """Letter and words of an option such as `B`, `(B)`, `B. a cat`."""
    found = _OPTION.fullmatch(text)
    if found is None:
        return None
    return (found[1] or found[2] or found[3]).upper(), found[4].strip()


def _same_value(one: str, two: str) -> bool:
    if one.lower() == two.lower():
        return True
    formal = _FORMAL.search(one + two) and _DIGIT.search(one) and _DIGIT.search(two)
    words = _words(one)
    if words and not formal and words == _words(two) and same_signs(one, two):
        return True  # 1,5 is no 15, and 1/2 no "1 2": formulas are read as such below
    return expression_score(one, two) == 1.0 or expression_score(two, one) == 1.0
