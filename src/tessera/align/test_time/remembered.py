"""A critic whose scores are kept in a file: what was rated once is not rated again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from tessera.align.critics.critic import Critic, Judged
from tessera.chat.message import Conversation
from tessera.records.writing import json_line
from tessera.runtime.disk import disk_faults


class RememberingCritic:
    """A `Critic` that asks another one, which is opened when it is needed first.

    file: one line for each question, written as it is rated, so that another run goes on. name: of the
    critic; scores of another are not taken. A line that was torn by an interruption counts as none.
    """

    def __init__(self, opening: Callable[[], Critic], file: Path, name: str) -> None:
        self._opening, self._file, self._name = opening, file, name
        self._known: dict[str, list[Judged]] = {}
        with disk_faults(file):
            lines = file.read_bytes().split(b"\n") if file.exists() else []
        for line in lines:
            try:
                told = json.loads(line)
                self._known[told["of"]] = [Judged(score, tuple(steps)) for score, steps in told["scores"]]
            except (ValueError, KeyError, TypeError):
                continue

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        """As `Critic.score`."""
        asked = repr((self._name, conversation, list(responses))).encode("utf-8", "surrogatepass")
        of = blake2b(asked, digest_size=16).hexdigest()
        if of not in self._known:
            self._known[of] = self._critic.score(conversation, responses)
            scores = [(one.score, one.steps) for one in self._known[of]]
            with disk_faults(self._file), self._file.open("ab") as stream:
                stream.write(b"\n" + json_line({"of": of, "scores": scores}))
        return self._known[of]

    @cached_property
    def _critic(self) -> Critic:
        return self._opening()
