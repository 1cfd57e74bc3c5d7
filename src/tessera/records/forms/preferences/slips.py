"""Keys of two answers that are spelled otherwise: what is to be written instead."""

import re
from collections.abc import Mapping, Sequence

from tessera.runtime.shown import shown

ANSWERS = ("chosen", "rejected", "rejected_response")
"""Keys of two answers: where none is there, a slip of one would leave half of a pair."""
_KIND = "(?:answer|response|output|text)?s?"
_NAMES: Mapping[str, re.Pattern[str]] = {
    "chosen": re.compile(f"(?:chosen|choosen|choose|preferred|positive|better|winner){_KIND}"),
    "rejected": re.compile(f"(?:rejected|reject|rejection|negative|worse|loser){_KIND}"),
    "prompt": re.compile("(?:question|query|prompt|instruction|input)s?(?:text)?"),
}
"""What the keys of a pair are called, without marks between words."""


def meant_pair(keys: Sequence[str]) -> str:
    """What to write where the keys of a record of no form are nearly those of a pair; "" where not."""
    plain = {key: re.sub(r"[\W_]", "", key).lower() for key in keys[:20]}
    found = {
        meant: next((key for key, name in plain.items() if pattern.fullmatch(name)), None)
        for meant, pattern in _NAMES.items()
    }
    chosen, rejected, prompt = found.values()
    if chosen is None and rejected is None:
        return ""
    if chosen is None or rejected is None:
        given, missing = chosen or rejected, "rejected" if chosen else "chosen"
        return f"write the answer beside {shown(given)} under {missing!r}" if given in ANSWERS else ""
    if prompt is None:
        return "write the question under 'prompt'"
    wrong = [(key, meant) for key, meant in ((chosen, "chosen"), (rejected, "rejected")) if key != meant]
    told = (f"the key {shown(key)} as {meant!r}" for key, meant in wrong or [(prompt, "prompt")])
    return f"write {' and '.join(told)}"
