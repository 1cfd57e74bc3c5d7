"""Letters of a text per script. A script isn't a language: Han may be Chinese or, beside Kana, Japanese."""

import unicodedata
from collections import Counter
from functools import lru_cache

_NAMES = "Latin Cyrillic Hangul Arabic Devanagari Thai Hebrew Greek Bengali Tamil Armenian Georgian"
_SCRIPTS = {name.upper(): name for name in _NAMES.split()}
_SCRIPTS |= {"CJK": "Han", "IDEOGRAPHIC": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana"}
_WIDTHS = ("FULLWIDTH ", "HALFWIDTH ")


def count_scripts(text: str) -> Counter[str]:
    """Letters per script, `other` for those without a name here; marks and digits don't count."""
    found: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            found[_script(character)] += count
    return found


@lru_cache(maxsize=65536)
def _script(letter: str) -> str:
    """The script of a letter by the first word of its Unicode name."""
    name = unicodedata.name(letter, "")
    for width in _WIDTHS:
        name = name.removeprefix(width)
    return _SCRIPTS.get(name.replace("-", " ").partition(" ")[0], "other")
