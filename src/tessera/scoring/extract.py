"""From free text to the value that is graded."""

import re

_ARTICLES = re.compile(r"^(?:a|an|the)\s+")
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)")


def normalise_answer(text: str) -> str:
    """Lower case, single spaces, no outer punctuation and no leading article.

    >>> normalise_answer(" The Red  circle. ")
    'red circle'
    """
    plain = " ".join(text.lower().split()).strip(" .,;:!?\"'`")
    return _ARTICLES.sub("", plain)


def last_number(text: str) -> str | None:
    """The last integer or decimal that stands by itself, as written; None without one.

    >>> last_number("2 red, 1 blue, 2 + 1 = 3")
    '3'
    """
    found = _NUMBER.findall(text)
    return found[-1] if found else None


def final_answer(text: str) -> str:
    """The value at the end of written steps: what follows the last `=` and, after that, the last comma.

    Text without `=` is its own final answer. The result is normalised.

    >>> final_answer("9 + 11 = 20, yes")
    'yes'
    >>> final_answer("Top left.")
    'top left'
    """
    if "=" not in text:
        return normalise_answer(text)
    return normalise_answer(text.rsplit("=", 1)[1].rsplit(",", 1)[-1])
