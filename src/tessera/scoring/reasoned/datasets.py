"""Which modes a data set is judged by: the published table of keywords in file names."""

from collections.abc import Sequence

KEYWORDS: Sequence[tuple[tuple[str, ...], tuple[str, ...]]] = (
    (("chartqa",), ("relaxed",)),
    (("docvqa", "infographics"), ("anls",)),
    (("SROIE", "CLEVR_math", "geos", "geometry"), ("relaxed", "vqa", "mc", "math_verify")),
    (("mavis",), ("vqa", "mc", "math", "latex", "math_verify")),
)
"""Keywords → modes; the first row with a keyword in the name counts, case too (docs/facts/preferences.md)."""
OTHERS = ("vqa", "mc", "math", "math_verify")
"""Modes of every other data set."""


def modes_for(name: str) -> tuple[str, ...]:
    """The modes of a data set by its file name.

    >>> modes_for("chartqa_train_18k.jsonl")
    ('relaxed',)
    """
    rows = (modes for keywords, modes in KEYWORDS if any(keyword in name for keyword in keywords))
    return next(rows, OTHERS)
