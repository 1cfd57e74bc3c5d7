"""Two of lmms-eval's rules for options that look at the start of an answer alone."""

import pytest

from tessera.scoring.registry import scorer
from tessera.scoring.verdict import Reference

OPTIONS = {"A": "a cat", "B": "two dogs"}
MUIR = [("A", "A"), (" a ", "A"), ("A. a cat", "A"), ("  B.", "B"), ("b. two", None), ("(A)", None)]
MUIR += [("A.", "A"), ("A cat", None), ("", None), ("答案A", None), ("A.B.", "A")]
MUIR += [("Answer: A.", None), ("\nB\n", "B")]
BLINK = [("A", "A"), ("b", "B"), ("(A)", "A"), ("( (b) x", "B"), ("B) two", "B"), ("A answer", "A")]
BLINK += [("  a.", "A"), ("The answer is A", "T"), ("Both", "B"), ("1. A", None), ("", None)]
BLINK += [("答案A", None), ("[A]", None)]


@pytest.mark.parametrize(("rules", "said", "letter"), [("lmms-eval-muirbench", *case) for case in MUIR])
def test_muirbench(rules: str, said: str, letter: str | None) -> None:
    judge = scorer("choice", {"rules": rules})
    for right in OPTIONS:
        assert judge(said, Reference((right,), OPTIONS)).score == (letter == right)


@pytest.mark.parametrize(("said", "letter"), BLINK)
def test_blink(said: str, letter: str | None) -> None:
    verdict = scorer("choice", {"rules": "lmms-eval-blink"})(said, Reference(("(A)",), OPTIONS))
    assert (verdict.extracted, verdict.score) == (letter, letter == "A")
