"""`tessera data pack MANIFEST`: the packs of an epoch as a picture, and how full they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tessera.cli.command import ReportingCommand, WorkersCommand
from tessera.cli.data.input import LimitedCommand
from tessera.cli.terminal.tables import Terminal, say
from tessera.curation.check import check_sources
from tessera.curation.report.packs import PackView, plan_view
from tessera.curation.report.pages import pack_page
from tessera.packing.config import PackingConfig
from tessera.pages.blocks import PackedSample
from tessera.pages.page import write_page
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted

COLOURS = ("blue", "green", "magenta", "yellow", "cyan", "red", "bright_blue", "bright_green", "bright_red")
TOKEN_BAR, TILE_BAR = 48, 16


@dataclass(frozen=True, kw_only=True)
class PackCommand(LimitedCommand, WorkersCommand, ReportingCommand):
    """Plan the packs of one epoch as the loader would, from lengths alone, and draw the first of them."""

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
    headers_only: bool = False
    """Read picture headers only: quick, but truncated pictures are not found."""
    out: Path = Path("packs.html")
    """Where the page is written."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: False}

    def run(self) -> int:
        self.at_least(max_tokens=1, max_tiles=0, workers=0, window=1, packs=0, most=1)
        config = self.limits(
            PackingConfig,
            window=self.window,
            seed=self.seed,
            epochs=1,
            on_fault="skip" if self.skip else "error",
            workers=self.processes,
        )
        encoder, entries = self.encoder(), self.sources()
        with progress_bars() as bars:
            sound, _ = check_sources(entries, encoder, config, bars, self.headers_only)
            view = plan_view(sound, encoder, config, self.packs, self.most, bars)
        view.tally.skipped += sum(
            (was.source.size or 0) - (now.source.size or 0) for was, now in zip(entries, sound, strict=True)
        )
        self.tell(lambda: as_json(view), lambda: show(Terminal(), view, self.out))
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
        "empty_tokens": view.packs * view.limits.max_tokens - view.tokens,
        "empty_tiles": view.packs * view.limits.max_tiles - view.tiles,
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
                | ({"answers": list(s.branches)} if s.branches else {})
                for s in pack
            ]
            for pack in view.shown
        ],
    }


def show(console: Console, view: PackView, out: Path) -> None:
    """Packs as rows: tokens left, tiles right, samples in the colours of their sources; counts; the page."""
    legend = Text("sources ")
    for number, name in enumerate(view.names):
        legend.append(f" █ {name}", style=COLOURS[number % len(COLOURS)])
    console.print(legend, soft_wrap=True)
    for number, pack in enumerate(view.shown):
        console.print(_row(number, pack, view), soft_wrap=True)
    tally = view.tally
    whole = "" if view.whole else " (begin of the epoch)"
    say(
        console,
        f"{counted(view.packs, 'pack')}{whole}, at least {view.bound:,}; {counted(view.samples, 'sample')}; "
        f"tokens {view.token_fill:.1%} full, tiles {view.tile_fill:.1%}; padding 0",
        f"skipped {tally.skipped:,}, dropped {tally.dropped:,}, fewer tiles {tally.shrunk:,}, "
        f"split {tally.split:,}",
        f"page: {write_page(out, pack_page(view))}",
    )


def _row(number: int, pack: Sequence[PackedSample], view: PackView) -> Text:
    tokens, tiles = (sum(getattr(sample, name) for sample in pack) for name in ("tokens", "tiles"))
    row = Text(f"{number:>5} ")
    row.append(_bar(pack, "tokens", view.limits.max_tokens, TOKEN_BAR))
    row.append(f" {tokens / view.limits.max_tokens:>4.0%}  ")
    row.append(_bar(pack, "tiles", view.limits.max_tiles, TILE_BAR))
    return row.append(f" {tiles:>3}  {counted(len(pack), 'sample')}")


def _bar(pack: Sequence[PackedSample], what: str, capacity: int, width: int) -> Text:
    """Blocks as long as the samples' shares; neighbours of one source differ in shade."""
    bar, start, drawn = Text(), 0, 0
    for number, sample in enumerate(pack):
        start += getattr(sample, what)
        end = round(start / max(1, capacity) * width)
        bar.append("█▓"[number % 2] * (end - drawn), style=COLOURS[sample.source % len(COLOURS)])
        drawn = max(drawn, end)
    return bar.append("·" * (width - drawn), style="dim")
