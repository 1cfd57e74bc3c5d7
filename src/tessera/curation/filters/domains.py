"""The four domains of text (docs/facts/cleaning.md): by the source's name, by a rule of words and signs, or
by a model."""

import re
from typing import Literal, get_args

Domain = Literal["disciplinary", "programming", "mathematics", "general"]
DOMAINS: tuple[Domain, ...] = get_args(Domain)

_CODE = re.compile(
    r"```|\bdef \w+\(|\bclass \w+[:({]|#include\s*<|\bimport \w+|\bfunction\s*\w*\("
    r"|\bSELECT\b.{1,300}\bFROM\b|\breturn\b.{0,300};|=>|\bpublic (?:static|class)\b"
    r"|\b(?:python|javascript|typescript|c\+\+|sql|html|regex|git)\b",
    re.IGNORECASE,
)
_MATHEMATICS = re.compile(
    r"\\(?:frac|sum|int|sqrt|boxed|begin\{(?:align|equation|matrix))|\$[^$\n]+\$|\b\d+\s*[-+*/×÷=^]\s*\d+"
    r"|\b(?:equation|theorem|prove|integral|derivative|polynomial|triangle|probability|modulo|integer)s?\b"
    r"|方程|函数|求证|证明|三角形|概率",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\b(?:physics|chemistry|biology|chemical|molecule|enzyme|protein|velocity|thermodynamics|newton|quantum"
    r"|medicine|patient|diagnosis|clinical|anatomy|economics|inflation|geology|astronomy|constitution|plaintiff"
    r"|jurisprudence|philosophy|psychology|photosynthesis|genome|circuit|voltage|reaction|historian)s?\b"
    r"|物理|化学|生物|医学|法律|历史|地理|经济",
    re.IGNORECASE,
)


def domain_by_rule(text: str) -> Domain:
    """The domain with most signs of it, at least two; in a tie code before formulas before subjects."""
    counts: dict[Domain, int] = {
        "programming": len(_CODE.findall(text)),
        "mathematics": len(_MATHEMATICS.findall(text)),
        "disciplinary": len(_SUBJECT.findall(text)),
    }
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 2 else "general"


def read_domain(reply: str) -> Domain | None:
    """The one domain that a model's reply names; None when it names none or several."""
    named = {name for name in DOMAINS if re.search(rf"\b{name}\b", reply.lower())}
    return named.pop() if len(named) == 1 else None
