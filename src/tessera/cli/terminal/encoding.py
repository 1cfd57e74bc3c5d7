"""The terminal, whatever it can show and however soon it is closed."""

import codecs
import os
import sys

_PLAIN = {"…": "...", "·": ".", "×": "x", "─": "-", "–": "-", "→": "->", "±": "+-", "•": "*"}
"""What stands for our own signs where the terminal has ASCII alone."""


def make_safe() -> None:
    """Signs that the terminal's encoding lacks are spelled in ASCII from now on: no answer ends at one."""
    codecs.register_error("tessera.plain", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # pytest and notebooks put others in their place
            stream.reconfigure(errors="tessera.plain")


def close_early() -> None:
    """Nobody reads any more: what is still in the buffers goes nowhere, without a word at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(map(_plain, signs)), error.end


def _plain(sign: str) -> str:
    if "▀" <= sign <= "▟":  # bars are drawn with blocks
        return "#"
    return _PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode()
