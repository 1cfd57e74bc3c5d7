"""What is wrong with a command line, in one line: tyro draws a box about it, and pydantic writes a page."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

from tessera.runtime.shown import shown

_KINDS = {"int()": "a whole number", "to float": "a number", "bool": "True or False"}
"""Words of Python's about a value that is no number, and what to give."""


@contextmanager
def mistakes_as_errors() -> Iterator[None]:
    """ValueError in one line for whatever tyro refuses; what this doesn't understand is printed as drawn."""
    drawn = StringIO()
    try:
        with redirect_stderr(drawn):
            yield
    except SystemExit as done:
        mistake = done.__context__
        refusal = mistake.__context__ if mistake else None
        if hasattr(refusal, "errors"):
            _, _, *inside = getattr(mistake, "arg", "").split(".")  # tyro's own name, and the command's field
            raise ValueError(in_one_line(refusal, *inside)) from refusal
        if done.code and (said := read_box(drawn.getvalue())):
            raise ValueError(said) from None
        sys.stderr.write(drawn.getvalue())
        raise


def in_one_line(error: Any, *above: str) -> str:
    """An error in one line: pydantic writes a page, of which the first fault is told."""
    if not hasattr(error, "errors"):
        return str(error)
    fault = error.errors()[0]
    place = ".".join(map(str, (*above, *fault["loc"])))
    said = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {shown(fault['input'])}: {said}" if place else said


def read_box(drawn: str) -> str | None:
    """The message of a box that tyro drew, in one line with its remedy; None when it says something else."""
    # Borders are lines or, where the terminal has ASCII alone, spaces; the title is no part of the message.
    lines = [line[2:].rstrip("│| ") for line in drawn.splitlines()[1:]]
    blocks = re.split(r"\n*^[─-]*$\n*", "\n".join(lines), flags=re.MULTILINE)
    block, *more = [block.split("\n") for block in blocks if block.strip()] or [[""]]
    said = " ".join(line.strip() for line in block)
    if found := re.match(r"Unrecognized options: ([^,]+)", said):
        what = "no option here" if found[1].startswith("-") else "one word too many"
        return f"{found[1]!r} is {what}; {_meant(sum(more, []))}--help lists the options"
    if found := re.match(r"Missing value for argument '(\S+)'", said):
        return f"{found[1]}: a value is missing behind it"
    if found := re.match(r"Error parsing (\S+): (.*)", said):
        return f"{found[1]}: {_as_asked(found[2])}"
    if found := re.match(r"invalid choice (.+) for argument '(\S+)'. Expected one of \((.+?),?\)\.", said):
        return f"{found[2]}: {found[1]} is none of {found[3]}"
    if said.startswith("Missing from "):
        names = [line.split()[0] for line in block[1:] if re.match(r" {4}\S", line)]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing; --help says what to give"
    return None


def _meant(lines: list[str]) -> str:
    """The options that tyro thinks were meant, at most three."""
    near = [found[1] for line in lines if (found := re.match(r" {4}(--[\w.-]+)", line))]
    return f"did you mean {' or '.join(near[:3])}? " if near else ""


def _as_asked(reason: str) -> str:
    """Why a value is refused, without Python's words for it."""
    value = reason.rpartition(": ")[2]
    wanted = next((kind for words, kind in _KINDS.items() if words in reason), None)
    return f"{value} is not {wanted}" if wanted else reason
