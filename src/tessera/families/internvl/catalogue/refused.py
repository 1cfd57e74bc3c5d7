"""Published names that do not open here, each with the reason and what to take instead."""

import re

REFUSED: tuple[tuple[str, str], ...] = (
    (r"InternVL-Chat-(13B|19B).*", "joins QLLaMA to LLaVA's code, whose weights were not released so"),
    (r"InternVL2-Pro|InternVL2-Llama3-76B-MPO", "was described, but its weights were never published"),
)
"""Pattern of the whole name (without owner) and why it does not open."""


def refusal(name: str) -> str | None:
    """Why a published name does not open, or None when nothing is known against it."""
    for pattern, reason in REFUSED:
        if re.fullmatch(pattern, name, flags=re.IGNORECASE):
            return reason
    return None
