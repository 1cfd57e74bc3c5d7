"""Ranges of code points, written short."""

import re


def ranges(text: str) -> str:
    """Hexadecimal code points and ranges of them, as the inside of a character class.

    >>> ranges("41-43 61")
    'A-Ca-a'
    """
    ends = (entry.partition("-")[::2] for entry in text.split())
    return "".join(
        f"{re.escape(chr(int(one, 16)))}-{re.escape(chr(int(two or one, 16)))}" for one, two in ends
    )
