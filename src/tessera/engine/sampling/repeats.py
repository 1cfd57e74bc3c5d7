"""How large a regular expression is once its counted repeats are written out.

llguidance follows `((((a{99}){99}){99}){99})` with ten seconds for one token, in which nobody else gets one;
its own limits leave most of them. So such an expression is refused before it is followed.
"""

import re
from collections.abc import Iterator
from typing import Any

from tessera.runtime.shown import shown

MOST = 20_000
"""Characters and classes. Forms that people write, such as `[a-z]{1,300}`, have far fewer."""
COUNT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def require_small(field: str, regex: str) -> None:
    """ValueError for an expression that is too large when it is written out."""
    if (size := written_out(regex)) > MOST:
        raise ValueError(
            f"{field} = {shown(regex)}: its repeats make {size:,} characters of more than {MOST:,}; "
            "repeat less, or don't repeat repeats"
        )


def written_out(regex: str) -> int:
    """Characters and classes, those of a group as often as it may be repeated.

    >>> written_out("a{3}"), written_out(r"(a[bc]{2,5}|\\d)+"), written_out("((a{99}){99}){99}")
    (3, 8, 970299)
    """
    sums, last, at = [0], 0, 0  # of every open group; the size of what a count would repeat
    while at < len(regex):
        sign, end = regex[at], at + 1
        if sign == "(":
            sums.append(0)
            last = 0
        elif sign == ")" and len(sums) > 1:
            last = sums.pop()
            sums[-1] += last
        elif found := COUNT.match(regex, at):
            times = max(1, int((found[2] or found[1])[:10]))
            sums[-1] += last * (times - 1)
            last, end = last * times, found.end()
        elif sign not in "*+?":
            last, end = 1, ATOM.match(regex, at).end()  # type: ignore[union-attr]
            sums[-1] += 1
        at = end
    return sum(sums)


def patterns(schema: Any) -> Iterator[str]:
    """Every regular expression in a JSON schema, and what is named like one."""
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
            if isinstance(found := value.get("pattern"), str):
                yield found
            if isinstance(named := value.get("patternProperties"), dict):
                yield from named
        elif isinstance(value, list):
            left += value
