"""Options that a question lists: who answers with an option's words means its letter."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tessera.scoring.selection.sameness import same_answer

_LINE = re.compile(r"^[ \t]*(?:\(([A-J])\)|([A-J])[.:)、：])[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
LETTERS = "ABCDEFGHIJ"


def options_in(question: str) -> dict[str, str]:
    r"""Letter → words of the options, one a line, from A on without a gap; the last such list; {} without.

    >>> options_in("Which?\nA. a cat\nB. a dog\nAnswer with the letter.")
    {'A': 'a cat', 'B': 'a dog'}
    """
    found: dict[str, str] = {}
    for match in _LINE.finditer(question):
        letter = match[1] or match[2]
        if letter == "A":
            found = {}
        if letter == LETTERS[len(found) : len(found) + 1]:
            found[letter] = match[3]
    return found if len(found) > 1 else {}


def meant_option(answer: str, options: Mapping[str, str]) -> str:
    """The letter of the one option whose words the answer is; else the answer.

    >>> meant_option("The dog", {"A": "a cat", "B": "a dog"})
    'B'
    """
    if answer.strip().upper() in options:
        return answer
    letters = [letter for letter, words in options.items() if same_answer(words, answer)]
    return letters[0] if len(letters) == 1 else answer
