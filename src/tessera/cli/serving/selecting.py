"""Options of verbs that choose among candidates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tessera.align.critics.settings import CriticSettings
from tessera.align.test_time.remembered import RememberingCritic
from tessera.checkpoints.hub import find_checkpoint
from tessera.scoring.selection.rule import SelectionRule, Ties, Vote

if TYPE_CHECKING:
    from tessera.align.critics.critic import Critic


@dataclass(frozen=True)
class CriticArguments:
    """What rates candidates."""

    critic: str | None = None
    """Process reward model: checkpoint folder, or a name such as OpenGVLab/VisualPRM-8B."""
    rating: CriticSettings = CriticSettings()
    """How the critic rates."""

    def check(self) -> None:
        """ValueError for what can't be, before anything is opened."""
        if self.critic is not None:
            find_checkpoint(self.critic)

    def open(self, device: str) -> Critic | None:
        """The critic, if there is one."""
        from tessera.align.critics.process import ProcessCritic

        if self.critic is None:
            return None
        return ProcessCritic.open(self.critic, {"device": device}, **self.rating.model_dump())

    def remembering(self, file: Path, device: str) -> Critic | None:
        """The same, opened when it is needed first, whose scores are kept in a file."""
        if self.critic is None:
            return None
        name = repr((self.critic, self.rating))
        return RememberingCritic(lambda: cast("Critic", self.open(device)), file, name)


@dataclass(frozen=True)
class SelectionArguments(CriticArguments):
    """How many candidates there are, and how one of them is chosen."""

    best_of: int | None = None
    """So many candidates, of which the one that the critic scores best is taken."""
    majority: int | None = None
    """So many candidates, of which the answer that most of them give is taken."""
    vote: Vote = "count"
    """What a vote of --majority weighs: each alike, by its log-probability, or by the critic's score."""
    ties: Ties = "first"
    """Which of two answers with as many votes is taken: the first one, or the likelier one."""

    def check(self) -> None:
        """ValueError for options that do not go together, too."""
        for name in ("best_of", "majority"):
            count, option = getattr(self, name), f"--{name.replace('_', '-')}"
            if count is not None and count < 1:
                raise ValueError(f"{option} {count}: give the number of candidates, at least 1")
        if self.best_of is not None and self.critic is None:
            raise ValueError(f"--best-of {self.best_of}: needs --critic; or take --majority {self.best_of}")
        if self.vote == "critic" and self.critic is None:
            raise ValueError("--vote critic: needs --critic")
        super().check()

    @property
    def number(self) -> int:
        """Candidates; one where nothing is asked for."""
        return self.best_of or self.majority or 1

    @property
    def rule(self) -> SelectionRule:
        """How one is chosen."""
        return SelectionRule("majority" if self.best_of is None else "best_of", self.vote, self.ties)
