r"""What stands around an answer: a thought part before it, a `\boxed{…}` or a label that holds it.

The sources are on docs/facts/evaluation.md.
"""

import re

_END = "</think>"
_BOX = "\\boxed{"
_LABEL = re.compile(r"(?:Final answer:|Answer:)\s*(.*)", re.IGNORECASE)


def without_thought(text: str) -> str:
    """What follows the last `</think>`, stripped; the whole text, as it is, without that mark.

    >>> without_thought("<think>two and two</think> 4")
    '4'
    """
    return text.rsplit(_END, 1)[1].strip() if _END in text else text


def in_box(text: str) -> str:
    r"""What the last `\boxed{…}` holds, braces balanced; the whole text without one that is closed."""
    at = text.rfind(_BOX)
    if at < 0:
        return text
    start, depth = at + len(_BOX), 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place]
    return text


def after_label(text: str) -> str:
    """The rest of the line behind the first `Final answer:` or `Answer:`, in any case; else the whole text.

    Both stripped: what prompts that end in "Final answer: .." ask for.
    """
    found = _LABEL.search(text)
    return (found[1] if found else text).strip()
