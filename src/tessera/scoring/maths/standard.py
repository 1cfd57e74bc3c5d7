r"""MathVision's own rule, which lmms-eval runs: the end of a reply, tidied, equal at two decimals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tessera.scoring.reasoned.expression import plain_formula
from tessera.scoring.reasoned.values import NoFormula, read_formula
from tessera.scoring.verdict import Reference, Scorer, Verdict

_LETTERS = "ABCDE"
_ANNOUNCED = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_BOX = re.compile("oxed{(.*)}", re.DOTALL)
_OUT = (
    *((" ", ""), ("\\,", ""), ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", "")),
    *(("\\text", ""), ("\\mbox", ""), ("bmatrix", "pmatrix"), ("\\left", ""), ("\\right", "")),
    *(("^{\\circ}", ""), ("^\\circ", ""), ("{m}^3", ""), ("m^3", ""), ("{units}", ""), ("units", "")),
    *(("{km}", ""), ("km", "")),
)
_TIDY = (
    *(("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", "")),
    *(("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""), ("$", "")),
)
_HALF = r"\frac{1}{2}"


def standard_scorer() -> Scorer:
    """1 where the end of the reply equals the right letter, or the text of its option."""

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = standard_answer(prediction)
        rights = list(reference.answers)
        rights += [reference.options[right] for right in rights if right in reference.options]
        same = any(_same(said, right) for right in rights)
        return Verdict(float(same), said, "the same" if same else "another answer")

    return score


def standard_answer(prediction: str) -> str:
    """What the reply ends in: a letter, a number behind `is`, what is announced, or the last box."""
    text = prediction.strip()
    for letter in _LETTERS:
        ends = text.endswith((f" {letter}.", f" ({letter})."))
        if ends or text.startswith((f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")):
            text = letter
    number = text.split("is ")[-1].rstrip(".")
    text = number if _is_number(number) else text
    if "oxed{" not in text:
        text = _announced(text)
    elif text.count("oxed{") > 1:
        text = "\\boxed{" + text.split("oxed{")[-1]
    text = _found(text)
    for left, right in ("()", "{}"):
        for letter in "abcde":
            text = text.replace(f"{left}{letter}{right}", letter)
    return text.rstrip(".").lstrip(":").strip()


def _announced(text: str) -> str:
    """Behind the last announcement, up to the end of its sentence."""
    for phrase in _ANNOUNCED:
        for start in (phrase, phrase.replace("the", "The")):
            known = start in text
            text = text.split(start)[-1].strip()
            if known:
                text = text.split("\n")[0].split(". ")[0]
    return text


def _found(text: str) -> str:
    """In the last box, behind `=` and the sign for about, without units and mere form."""
    text = text.lower().replace("{}", "")
    boxes = _BOX.findall(text)
    text = boxes[-1] if boxes else text
    closing, opening = text.find("}"), text.find("{")
    if closing != -1 and (opening == -1 or closing < opening):
        text = text.split("}")[0]
    text = text.split("=")[-1].split("\\approx")[-1]
    for old, new in _OUT:
        text = text.replace(old, new)
    return _tidied(text)


def _tidied(text: str) -> str:
    for old, new in _TIDY:
        text = text.replace(old, new)
    text = text.split("\\text{ ")[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    text = f"0{text}" if text.startswith(".") else text
    for sign in ("=", "\\approx"):
        if text.count(sign) == 1:
            text = text.split(sign)[-1]
    text = re.sub(r"\\sqrt([^{])", r"\\sqrt{\1}", text).replace(" ", "")
    if "sqrt" in text:  # as published fractions are braced beside roots only
        text = _braced(text)
    return _fraction(_HALF if text == "0.5" else text)


def _braced(text: str) -> str:
    r"""`\frac12` as `\frac{1}{2}`; all as it was where one is too short."""
    start, *parts = text.split("\\frac")
    done = start
    for part in parts:
        done += "\\frac"
        if part.startswith("{"):
            done += part
        elif len(part) < 2:
            return text
        else:
            done += f"{{{part[0]}}}" + (part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}")
    return done


def _fraction(text: str) -> str:
    above, slash, below = text.partition("/")
    try:
        whole = f"{int(above)}/{int(below)}" == text
    except ValueError:
        return text
    return f"\\frac{{{int(above)}}}{{{int(below)}}}" if slash and whole else text


def _same(said: str, right: str) -> bool:
    """In lower case: the same text, the same pair or list, or values that are equal at two decimals."""
    said, right = said.lower(), right.lower()
    if not said.replace(" ", "") or not right.replace(" ", ""):
        return False
    if said.strip() == right.strip():
        return True
    said, right = _evaluated(said), _evaluated(right)
    if said == right:
        return True
    values = _rounded(said), _rounded(right)
    return values[0] is not None and values[0] == values[1]


def _evaluated(text: str) -> str:
    """A pair or list with its members as numbers at two decimals; any other text as it is."""
    members = text[1:-1].split(",")
    if (text[0], text[-1]) not in (("(", ")"), ("[", "]")) or len(members) < 2:
        return text
    shown = list(_members(members))
    return f"{text[0]}{','.join(shown)}{text[-1]}" if len(shown) == len(members) else text


def _members(members: list[str]) -> Iterator[str]:
    """Up to the first that is no number."""
    for member in members:
        if "infty" in member or member in ("a", "-a"):
            yield member
            continue
        value = _rounded(member)
        if value is None:
            return
        yield str(value)


def _rounded(text: str) -> float | None:
    try:
        value = complex(read_formula(plain_formula(text))({}))
        return None if value.imag else round(value.real, 2)
    except (NoFormula, KeyError, ArithmeticError, ValueError):
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
