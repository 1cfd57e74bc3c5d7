"""The extension `selection` of chat completions: one of several candidates is the answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tessera.runtime.shown import shown
from tessera.scoring.reasoned.extraction import VERSIONS
from tessera.scoring.selection.responses import ChosenResponse
from tessera.scoring.selection.rule import Method, SelectionRule, Ties, Vote
from tessera.serve.choosing import AskedSelection
from tessera.serve.faults import bad_field

WARM = {"temperature": 0.7, "top_p": 0.95}
"""Of candidates, where a request says nothing: as VLMEvalKit samples for best-of-N."""


class SelectionBody(BaseModel):
    """How many candidates there are, and how one of them is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: Method = "majority"
    n: int = Field(default=8, ge=2)
    vote: Vote = "count"
    ties: Ties = "first"
    prompt: str | None = None
    """name of the prompt that was asked with, whose rule finds the answers"""
    greedy_first: bool = True
    texts: bool = False
    """tell what every candidate says"""

    def asked(self, critic: bool) -> AskedSelection:
        """critic: whether the server has one. ApiFault for what can't be."""
        if self.prompt is not None and self.prompt not in VERSIONS:
            raise bad_field(
                "selection.prompt", f"{shown(self.prompt)} is unknown; give one of {', '.join(VERSIONS)}"
            )
        rule = SelectionRule(self.method, self.vote, self.ties)
        if rule.scored and not critic:
            field, value = ("vote", self.vote) if self.method == "majority" else ("method", self.method)
            need = "needs a critic, and this server has none (tessera serve --critic)"
            raise bad_field(f"selection.{field}", f"{value!r} {need}; take 'majority' by count or logprob")
        return AskedSelection(rule, self.prompt, self.greedy_first, self.texts)


def told_selection(chosen: ChosenResponse, asked: AskedSelection) -> dict[str, Any]:
    """What an answer tells of its choice."""
    told = chosen.as_json()
    each = told["candidates"]
    if not asked.texts:
        each = [{name: value for name, value in one.items() if name != "text"} for one in each]
    kept = {name: told[name] for name in ("index", "answer", "why", "weights")}
    return {"method": asked.rule.method, "n": len(each)} | kept | {"candidates": each}
