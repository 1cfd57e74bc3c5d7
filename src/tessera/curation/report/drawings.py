"""Drawings as inline SVG: histograms, and packs with who sits where. No script, no library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tessera.curation.report.seats import PackView, Seat
from tessera.curation.report.style import hue
from tessera.curation.statistics import Histogram

WIDTH, ROW, LABEL = 340, 14, 92
PACK_WIDTH, NUMBER = 900, 40
TOKEN_HEIGHT, TILE_HEIGHT, GAP = 14, 6, 6


def histogram_figure(title: str, histogram: Histogram) -> str:
    """Bars with their counts; what is above the limit in another colour. Empty ends are left out."""
    rows = list(zip(histogram.labels, histogram.counts.tolist(), strict=True))
    filled = [number for number, (_, count) in enumerate(rows) if count] or [0]
    shown = range(filled[0], filled[-1] + 1)
    most = max(count for _, count in rows) or 1
    body = "".join(
        _bar(number - shown.start, *rows[number], most, number == len(rows) - 1) for number in shown
    )
    height = len(shown) * ROW + 4
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{body}</svg></figure>'
    )


def _bar(row: int, label: str, count: int, most: int, over: bool) -> str:
    y, room = 2 + row * ROW, WIDTH - LABEL - 60
    width = max(1.0 if count else 0.0, count / most * room)
    kind = "over" if over else "bar"
    return (
        f'<text x="{LABEL - 6}" y="{y + 10}" text-anchor="end">{escape(label)}</text>'
        f'<rect class="{kind}" x="{LABEL}" y="{y + 1}" width="{width:.1f}" height="{ROW - 3}"/>'
        f'<text x="{LABEL + width + 4:.1f}" y="{y + 10}">{count:,}</text>'
    )


def packs_figure(view: PackView) -> str:
    """Packs as rows: tokens in the upper bar, tiles in the lower, samples in the colour of their source."""
    if not view.shown:
        return "<p class=quiet>no packs</p>"
    step = TOKEN_HEIGHT + TILE_HEIGHT + GAP
    rows = "".join(_pack(number, 1 + number * step, pack, view) for number, pack in enumerate(view.shown))
    height = len(view.shown) * step + 2
    return (
        f'<figure><svg viewBox="0 0 {PACK_WIDTH} {height}" role="img" aria-label="packs">{rows}</svg>'
        f"<figcaption>the first {len(view.shown)} packs, tokens above tiles; hover for the sample"
        "</figcaption></figure>"
    )


def legend(names: Sequence[str]) -> str:
    """The colours of the sources."""
    keys = (
        f'<span class=key style="background:{hue(n)}"></span>{escape(name)}' for n, name in enumerate(names)
    )
    return f"<p>{''.join(keys)}</p>"


def _pack(number: int, top: int, pack: Sequence[Seat], view: PackView) -> str:
    tokens, tiles = (sum(getattr(seat, name) for seat in pack) for name in ("tokens", "tiles"))
    label = f"{number}: {tokens:,} of {view.max_tokens:,} tokens, {tiles} of {view.max_tiles} tiles"
    return (
        f'<text x="{NUMBER - 6}" y="{top + 11}" text-anchor="end"><title>{label}</title>{number}</text>'
        + _seats(pack, "tokens", view.max_tokens, top, TOKEN_HEIGHT)
        + _seats(pack, "tiles", view.max_tiles, top + TOKEN_HEIGHT + 1, TILE_HEIGHT)
    )


def _seats(pack: Sequence[Seat], what: str, capacity: int, top: int, height: int) -> str:
    room = PACK_WIDTH - NUMBER - 2
    scale = room / max(1, capacity)
    drawn = [f'<rect class="room" x="{NUMBER}" y="{top}" width="{room}" height="{height}"/>']
    start = 0
    for seat in pack:
        size = getattr(seat, what)
        if size:
            title = escape(f"{seat.name}: {seat.tokens:,} tokens, {seat.tiles} tiles")
            drawn.append(
                f'<rect class="seat" style="fill:{hue(seat.source)}" x="{NUMBER + start * scale:.1f}" '
                f'y="{top}" width="{size * scale:.1f}" height="{height}"><title>{title}</title></rect>'
            )
        start += size
    return "".join(drawn)
