"""A page of solutions: question and pictures, and every step with its score in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tessera.align.preferences.pair_page import shown_picture
from tessera.align.preferences.response import SampledResponse
from tessera.align.process.continuing import MarkedStep
from tessera.align.process.records import label_of
from tessera.align.process.talk import RIGHT
from tessera.pages.blocks import PageBlock, SampleCard, SampleCards
from tessera.pages.page import HtmlPage
from tessera.runtime.shown import counted

Shown = Sequence[tuple[SampledResponse, Sequence[MarkedStep]]]


def step_page(name: str, solutions: Shown, media: Path, threshold: float) -> HtmlPage:
    """The page of these solutions; a step is green where it is + (its score is above the threshold)."""
    note = (
        f"{counted(len(solutions), 'solution')}, drawn at random. In front of a step: right continuations of "
        f"all from there. Green is + (more than {threshold:g} of them), red is -."
    )
    cards = [_card(response, steps, media, threshold) for response, steps in solutions]
    blocks: list[PageBlock] = [SampleCards(cards)] if cards else ["No solution was kept."]
    return HtmlPage(f"Steps of {name}", note, [("Solutions", blocks)])


def _card(
    response: SampledResponse, steps: Sequence[MarkedStep], media: Path, threshold: float
) -> SampleCard:
    head = (f"line {response.line}", f"answer of the data set: {response.target}", response.version)
    pictures = [shown_picture(path, media) for path in response.pictures]
    return SampleCard(
        head, pictures, [("turn", response.prompt), *(_line(step, threshold) for step in steps)]
    )


def _line(step: MarkedStep, threshold: float) -> tuple[str, str]:
    kind = "turn good" if label_of(step.score, threshold) == RIGHT else "turn bad"
    score = f"{step.num_mc_correct}/{step.num_mc_total}" if step.num_mc_total else "not tried"
    return kind, f"{score}  {step.step}"
