"""The page about two runs: differences with their intervals, and the questions that flipped."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.evaluation.comparing.answer_cards import compared_card, evenly
from tessera.evaluation.comparing.comparison import FLIP_KINDS, Flip, RunComparison
from tessera.evaluation.comparing.differences import FigureDifference
from tessera.pages.blocks import PageBlock, Table, TableRow
from tessera.pages.page import HtmlPage
from tessera.runtime.shown import counted, shown
from tessera.scoring.verdict import OVERALL

MOST_CARDS = 80
"""Flips that are shown of each kind."""
FIGURE_HEAD = ("figure", "first", "second", "difference", "95 %", "p", "by")


def comparison_page(comparison: RunComparison) -> HtmlPage:
    """Figures, flips by category, other settings, and cards with filters by kind and category."""
    chosen = {kind: [f for f in comparison.flips if f.kind == kind] for kind in FLIP_KINDS}
    cards = [flip for flips in chosen.values() for flip in evenly(flips, MOST_CARDS)]
    told = [
        f"{min(len(flips), MOST_CARDS)} of {len(flips):,} {kind}" for kind, flips in chosen.items() if flips
    ]
    sections = (
        ("Difference", _figures(comparison)),
        ("Set differently", _settings(comparison)),
        ("Questions that flipped", [_flipped(comparison)]),
        (
            "Looked at one by one",
            [f"Shown, evenly chosen: {', '.join(told) or 'none'}.", *_cards(cards, comparison)],
        ),
    )
    kinds = [kind for kind in FLIP_KINDS if chosen[kind]]
    categories = sorted({flip.category for flip in cards} - {""})
    filters: dict[str, Sequence[str]] = {"kind": kinds, "category": categories} if cards else {}
    note = f"First: {comparison.one.name}. Second: {comparison.two.name}."
    return HtmlPage(f"Two runs of {comparison.benchmark}", note, sections, filters)


def figure_cells(figure: FigureDifference) -> tuple[str, str, str, str, str, str]:
    """In the order of `FIGURE_HEAD`, without the name."""
    p = "–" if figure.p != figure.p else "< 0.001" if figure.p < 0.001 else f"{figure.p:.3f}"
    bounds = f"{number(figure.low, sign=True)} to {number(figure.high, sign=True)}"
    return number(figure.one), number(figure.two), number(figure.difference, sign=True), bounds, p, figure.how


def number(value: float, sign: bool = False) -> str:
    """A figure as papers print it; a dash for what can't be told."""
    return "–" if value != value else f"{value:{'+' if sign else ''},.2f}"


def _figures(comparison: RunComparison) -> list[PageBlock]:
    rows = [(name, *figure_cells(figure)) for name, figure in comparison.figures.items()]
    drawn = "" if comparison.units == comparison.questions else f", drawn as {comparison.units:,} units"
    note = (
        f"{counted(comparison.questions, 'question')} in both runs{drawn}. Second less first; p is how often "
        "chance alone gives a difference as large. Figures of many categories: some are below 0.05 by chance."
    )
    words = ["The runs number questions differently: they were matched by their words."]
    told = [*(words if comparison.by_words else []), *comparison.unmatched.told()]
    return [Table(FIGURE_HEAD, rows, strong=(OVERALL,)), note, *told]


def _settings(comparison: RunComparison) -> list[PageBlock]:
    rows = [(name, *map(_setting, values)) for name, values in comparison.settings.items()]
    return [Table(("setting", "first", "second"), rows, words=True)] if rows else ["Nothing."]


def _setting(value: object) -> str:
    return "–" if value is None else shown(value, bare=True)


def _flipped(comparison: RunComparison) -> Table:
    rows: list[TableRow] = [
        (name or "(no category)", *(counts[kind] for kind in FLIP_KINDS))
        for name, counts in comparison.counts().items()
    ]
    return Table(("category", *FLIP_KINDS), rows, strong=(OVERALL,))


def _cards(flips: list[Flip], comparison: RunComparison) -> list[PageBlock]:
    names = comparison.one.name or "first", comparison.two.name or "second"
    if names[0] == names[1]:
        names = f"{names[0]} (first)", f"{names[1]} (second)"
    return [compared_card(flip.one, flip.two, names, (flip.kind, flip.category)) for flip in flips]
