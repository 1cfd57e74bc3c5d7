"""Answers that go round in circles: noticed by their period, and ended with a reason of their own.

Vision models loop on long readings: a line of a table, a sentence, three digits for ever. Yet not all that
repeats is a loop: so do empty rows of a form, ruled lines, columns of zeros, and what a user asks for. So the
rule is followed only where it is asked for, and its defaults wait for longer than any of these.
"""

from typing import Self

import numpy as np
from pydantic import model_validator

from tessera.runtime.config import Config


class LoopRule(Config):
    """When an answer counts as a loop: its end repeats the same tokens `times` over, over `tokens` in all."""

    tokens: int = 1024
    """So many tokens at least must be repetition: a form of 30 empty rows of HTML has some 800."""
    times: int = 16
    """So many times at least the same must have come."""
    longest: int = 512
    """Longest stretch of tokens that is looked for."""

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for name, least in (("tokens", 2), ("times", 2), ("longest", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"end_loops.{name} = {value}: give at least {least}")
        return self


class LoopWatch:
    """Looks for a loop as the tokens of an answer come; some microseconds each, whatever the length."""

    def __init__(self, rule: LoopRule) -> None:
        periods = np.arange(1, rule.longest + 1)
        self._needed = np.maximum(rule.tokens, rule.times * periods) - periods
        """Per period, how many tokens in a row must equal the one a period before."""
        self._equal = np.zeros(rule.longest, dtype=np.int64)
        """Per period, how many do."""
        self._past = np.full(rule.longest, -1, dtype=np.int64)
        """The last tokens, the newest first; -1 before the first one."""
        self.looping = False

    def take(self, token: int) -> None:
        """The answer goes on with this token."""
        self._equal = (self._equal + 1) * (self._past == token)
        self._past[1:] = self._past[:-1]
        self._past[0] = token
        self.looping = bool((self._equal >= self._needed).any())
