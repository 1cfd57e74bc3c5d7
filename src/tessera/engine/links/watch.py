"""Links of one answer on their way: which numbers of its stream are slots, and which are still to come."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tessera.chat.tokens import LinkSlots
from tessera.engine.completion import Link


class LinkWatch:
    """Takes the last states of slots, in whatever pieces they come, each place once.

    A link whose slots went through the model is `Link`; `due` hands it out once, `all` keeps it.
    """

    def __init__(self, slots: LinkSlots) -> None:
        self.slots = slots
        self.all: list[Link] = []
        self._due: list[Link] = []
        self._token = self._said = 0
        self._wanted = range(0)
        """Places of slots whose states are still to come, of the newest link alone."""
        self._states: list[torch.Tensor] = []

    def opens(self, token: int) -> range:
        """The slots that stand behind a token of the answer."""
        return self.slots.behind(token)

    def begin(self, token: int, said: int, place: int) -> None:
        """The answer's token number `said` is a link; its slots stand from `place` on."""
        self._token, self._said, self._states = token, said, []
        self._wanted = range(place, place + len(self.opens(token)))

    def wants(self, start: int, stop: int) -> range:
        """Places of a span whose states are still to come."""
        return range(max(start, self._wanted.start), max(min(stop, self._wanted.stop), self._wanted.start))

    @property
    def next(self) -> int | None:
        """The first place whose state is still to come; up to there keys and values of others serve."""
        return self._wanted.start if self._wanted else None

    def take(self, states: torch.Tensor) -> None:
        """Last states [n, D] of the next places that are wanted."""
        # A copy in float32, of which the caller may take gradients, and which keeps no other states alive.
        with torch.inference_mode(False):
            self._states.append(states.detach().to("cpu", torch.float32, copy=True).clone())
        self._wanted = self._wanted[len(states) :]
        if not self._wanted:
            link = Link(self._token, self._said, torch.cat(self._states))
            self.all.append(link)
            self._due.append(link)

    def due(self) -> tuple[Link, ...]:
        """Links that are whole and were not handed out yet."""
        found, self._due = tuple(self._due), []
        return found

    def tokens_of(self, numbers: list[int]) -> Iterator[int]:
        """The numbers of a stream without slots."""
        return (number for number in numbers if not self.slots.holds(number))
