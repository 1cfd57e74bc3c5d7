"""The page of a probe: figures, epochs, classes, and held-out pictures that it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tessera.pages.blocks import BarCell, PageBlock, SampleCard, SampleCards, ShownMedia, Table
from tessera.pages.chart import Chart
from tessera.pages.page import HtmlPage
from tessera.train.heads.labelled import Labelled
from tessera.train.heads.probe import ProbeResult

MOST, HEIGHT = 24, 128
"""Pictures that are shown, and their height."""


def probe_page(values: Mapping[str, Any], found: ProbeResult, held: Labelled) -> HtmlPage:
    """Plain values of a result, and the pictures behind them."""
    note = f"{values['model']} on {values['data']}, {values['settings']['head']} head"
    settings = [(name, str(value)) for name, value in values["settings"].items()]
    sections = (
        ("Held-out pictures", figures(values)),
        ("Epochs", epochs(found)),
        ("Classes", [classes(values)]),
        ("Wrong", [wrong(found, held)]),
        ("Settings", [Table(("setting", "value"), settings, words=True)]),
    )
    return HtmlPage("Probe", note, sections)


def figures(values: Mapping[str, Any]) -> list[PageBlock]:
    """What the probe and a few shots reach."""
    named = {"acc1": "right", "acc5": "among the best five", "mean_per_class_recall": "mean over classes"}
    rows = [(words, bar(values[name])) for name, words in named.items() if values[name] is not None]
    for one in values["few_shot"]:
        spread = "" if one["deviation"] is None else f"standard deviation {one['deviation']:.1f}"
        rows.append((f"{one['shots']} pictures a class", bar(one["acc1"], spread)))
    return [Table(("", f"of {values['pictures']:,} pictures"), rows)]


def bar(percent: float, note: str = "") -> BarCell:
    """A share as a bar."""
    return BarCell(percent / 100, f"{percent:.1f} %", note)


def epochs(found: ProbeResult) -> list[PageBlock]:
    """Loss and accuracy as curves."""
    curves: list[PageBlock] = []
    for name, title, scale in (
        ("loss", "Loss", "log"),
        ("acc1", "Held-out pictures right, percent", "linear"),
    ):
        points = [(number, one[name]) for number, one in enumerate(found.history, 1)]
        curves.append(Chart(title, points, name, scale, axis="epoch", smoothed=False))  # type: ignore[arg-type]
    return curves


def classes(values: Mapping[str, Any]) -> Table:
    """Every class that occurs, worst first."""
    told = sorted(values["per_class"], key=lambda one: float(one["recall"]))
    rows = [(one["name"], one["pictures"], bar(one["recall"]), one.get("taken_for", "")) for one in told]
    return Table(("class", "pictures", "right", "most often taken for"), rows)


def wrong(found: ProbeResult, held: Labelled) -> SampleCards:
    """Some pictures whose class is missed."""
    places = [n for n, guess in enumerate(found.guesses) if guess[0] != held.labels[n]][:MOST]
    cards = []
    for place in places:
        picture = held.pictures[place].copy()
        picture.thumbnail((2 * HEIGHT, HEIGHT))
        said, truth = held.names[found.guesses[place][0]], held.names[held.labels[place]]
        lines = [("bad", said), ("good", truth)]
        cards.append(
            SampleCard((held.pictures.name(place),), [ShownMedia("", picture, height=HEIGHT)], lines)
        )
    return SampleCards(cards, narrow=True)
