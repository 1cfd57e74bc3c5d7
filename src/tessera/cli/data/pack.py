"""`tessera data pack MANIFEST`: the packs of an epoch as a picture, and how full they are."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.text import Text

from tessera.cli.data.input import Limited, at_least, manifest_sources, progress_bars
from tessera.curation.report.page import write_page
from tessera.curation.report.pages import pack_page
from tessera.curation.report.seats import PackView, Seat, plan_view
from tessera.packing.config import PackingConfig

COLOURS = (
    "blue",
    "green",
    "magenta",
    "yellow",
    "cyan",
    "red",
    "bright_blue",
    "bright_green",
    "bright_magenta",
)
TOKEN_BAR, TILE_BAR = 48, 16


@dataclass(frozen=True, kw_only=True)
class Arguments(Limited):
    """Plan the packs of one epoch as the loader would, from lengths alone, and draw the first of them."""

    manifest: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
    """Manifest or InternVL's meta file."""
    packs: int = 40
    """Packs that are drawn; all are counted."""
    most: int = 1_000_000
    """Samples after which counting ends."""
    seed: int = 0
    """Seed of the mixture."""
    window: int = PackingConfig().window
    """Samples that are planned together."""
    skip: bool = False
    """Leave faulty records out and count them instead of stopping."""
    workers: int | None = None
    """Processes that measure; one per core by default."""
    out: Path = Path("packs.html")
    """Where the page is written."""
    json: bool = False
    """Print one JSON object, and write no page."""


def main(argv: list[str]) -> int:
    """Plan, draw, count."""
    given = tyro.cli(Arguments, args=argv, prog="tessera data pack", config=(tyro.conf.FlagCreatePairsOff,))
    at_least(given, max_tokens=1, max_tiles=0, workers=0, window=1, packs=0, most=1)
    config = PackingConfig(
        max_tokens=given.max_tokens,
        max_tiles=given.max_tiles,
        over_long=given.over_long,
        window=given.window,
        seed=given.seed,
        epochs=1,
        on_fault="skip" if given.skip else "error",
        workers=os.cpu_count() or 1 if given.workers is None else given.workers,
    )
    encoder, entries = given.encoder(), manifest_sources(given.manifest)
    with progress_bars() as bars:
        view = plan_view(entries, encoder, config, given.packs, given.most, bars)
    if given.json:
        print(json.dumps(as_json(view), ensure_ascii=False))
        return 0
    show(Console(), view)
    print(f"page: {write_page(given.out, pack_page(view))}")
    return 0


def as_json(view: PackView) -> dict[str, Any]:
    """Counts, and the packs that are drawn."""
    return {
        "packs": view.packs,
        "bound": view.bound,
        "samples": view.samples,
        "tokens": view.tokens,
        "tiles": view.tiles,
        "token_fill": round(view.token_fill, 4),
        "tile_fill": round(view.tile_fill, 4),
        "empty_tokens": view.packs * view.max_tokens - view.tokens,
        "empty_tiles": view.packs * view.max_tiles - view.tiles,
        "padding": 0,
        "whole_epoch": view.whole,
        "skipped": view.tally.skipped,
        "dropped": view.tally.dropped,
        "fewer_tiles": view.tally.shrunk,
        "split": view.tally.split,
        "sources": {
            name: dict(zip(("samples", "tokens", "tiles"), counts, strict=True))
            for name, counts in zip(view.names, view.by_source, strict=True)
        },
        "shown": [
            [
                {"source": view.names[s.source], "at": s.name, "tokens": s.tokens, "tiles": s.tiles}
                for s in pack
            ]
            for pack in view.shown
        ],
    }


def show(console: Console, view: PackView) -> None:
    """Packs as rows: tokens left, tiles right, samples in the colours of their sources; then the counts."""
    legend = Text("sources ")
    for number, name in enumerate(view.names):
        legend.append(f" █ {name}", style=COLOURS[number % len(COLOURS)])
    console.print(legend, soft_wrap=True)
    for number, pack in enumerate(view.shown):
        console.print(_row(number, pack, view), soft_wrap=True)
    tally = view.tally
    whole = "" if view.whole else " (begin of the epoch)"
    console.print(
        f"{view.packs:,} packs{whole}, at least {view.bound:,}; {view.samples:,} samples; tokens "
        f"{view.token_fill:.1%} full, tiles {view.tile_fill:.1%}; padding 0\n"
        f"skipped {tally.skipped:,}, dropped {tally.dropped:,}, fewer tiles {tally.shrunk:,}, "
        f"split {tally.split:,}",
        highlight=False,
        soft_wrap=True,
    )


def _row(number: int, pack: Sequence[Seat], view: PackView) -> Text:
    tokens, tiles = (sum(getattr(seat, name) for seat in pack) for name in ("tokens", "tiles"))
    row = Text(f"{number:>5} ")
    row.append(_bar(pack, "tokens", view.max_tokens, TOKEN_BAR))
    row.append(f" {tokens / view.max_tokens:>4.0%}  ")
    row.append(_bar(pack, "tiles", view.max_tiles, TILE_BAR))
    return row.append(f" {tiles:>3}  {len(pack)} samples")


def _bar(pack: Sequence[Seat], what: str, capacity: int, width: int) -> Text:
    """Blocks as long as the samples' shares; neighbours of one source differ in shade."""
    bar, start, drawn = Text(), 0, 0
    for number, seat in enumerate(pack):
        start += getattr(seat, what)
        end = round(start / max(1, capacity) * width)
        bar.append("█▓"[number % 2] * (end - drawn), style=COLOURS[seat.source % len(COLOURS)])
        drawn = max(drawn, end)
    return bar.append("·" * (width - drawn), style="dim")
