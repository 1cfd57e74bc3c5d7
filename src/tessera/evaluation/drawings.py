"""Drawings of the report page as inline SVG: loss curves and the fill of packs. No script, no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 340, 140
LEFT, BOTTOM, TOP = 34, 22, 8
PACK_WIDTH = 680
PACK_ROW = 14
FLOOR = 1e-6


def loss_curve(title: str, losses: Sequence[tuple[int, float]]) -> str:
    """One curve, thin as measured and thick as a moving mean over a twentieth of the run.

    losses: (step, loss in nats per trained token). The scale is logarithmic, with a floor at FLOOR. Raises
    ValueError when a loss is not finite, for a curve with a hole would look like a good one.
    """
    bad = [(step, loss) for step, loss in losses if not math.isfinite(loss)]
    if bad:
        raise ValueError(f"losses: {bad[0][1]} at step {bad[0][0]} of {title!r}; expected finite values")
    if len(losses) < 2:
        return f"<p class=quiet>{escape(title)}: {len(losses)} step, no curve.</p>"
    steps = [step for step, _ in losses]
    values = [math.log(max(loss, FLOOR)) for _, loss in losses]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0

    def place(step: float, value: float) -> str:
        x = LEFT + (step - steps[0]) / (steps[-1] - steps[0] or 1) * (WIDTH - LEFT - 8)
        return f"{x:.1f},{TOP + (high - value) / spread * (HEIGHT - TOP - BOTTOM):.1f}"

    thin = " ".join(place(*point) for point in zip(steps, values, strict=True))
    smooth = moving_mean(values, max(1, len(values) // 20))
    thick = " ".join(place(*point) for point in zip(steps, smooth, strict=True))
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss of {escape(title)}">'
        f"{_axes(steps, low, high)}"
        f'<polyline class="thin" points="{thin}"/><polyline class="thick" points="{thick}"/></svg>'
        f"<figcaption>{escape(title)}: loss {losses[0][1]:.2f} → {math.exp(smooth[-1]):.2f}</figcaption>"
        "</figure>"
    )


def moving_mean(values: Sequence[float], reach: int) -> list[float]:
    """The mean of each value with up to `reach` values before it.

    >>> moving_mean([1.0, 3.0, 5.0], 1)
    [1.0, 2.0, 4.0]
    """
    windows = (values[max(0, i - reach) : i + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _axes(steps: Sequence[int], low: float, high: float) -> str:
    """Two lines, the lowest and highest loss, the first and last step."""
    floor = HEIGHT - BOTTOM
    return (
        f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - 8}"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 8}" text-anchor="end">{math.exp(high):.2f}</text>'
        f'<text x="{LEFT - 6}" y="{floor}" text-anchor="end">{math.exp(low):.2f}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 8}">step {steps[0]}</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 8}" text-anchor="end">{steps[-1]}</text>'
    )


def pack_picture(packs: Sequence[Sequence[int]], capacity: int) -> str:
    """Packs as rows, samples as blocks as long as their tokens, free room left blank.

    packs: tokens of every sample, pack by pack; capacity: tokens a pack can hold. Raises ValueError for a
    pack longer than the capacity.
    """
    longest = max((sum(lengths) for lengths in packs), default=0)
    if longest > capacity:
        raise ValueError(
            f"packs: one has {longest} tokens, more than the capacity {capacity}; pass the one in use"
        )
    if not packs:
        return "<p class=quiet>no packs recorded</p>"
    scale = (PACK_WIDTH - 2) / capacity
    rows = [_pack_row(lengths, 1 + number * PACK_ROW, scale) for number, lengths in enumerate(packs)]
    fill = sum(map(sum, packs)) / (capacity * len(packs))
    samples = sum(map(len, packs))
    height = len(packs) * PACK_ROW + 2
    return (
        f'<figure><svg viewBox="0 0 {PACK_WIDTH} {height}" role="img" aria-label="fill of packs">'
        f"{''.join(rows)}</svg>"
        f"<figcaption>{len(packs)} packs of {capacity} tokens with {samples} samples: "
        f"{fill:.1%} full</figcaption></figure>"
    )


def _pack_row(lengths: Sequence[int], top: int, scale: float) -> str:
    """The blocks of one pack, neighbours in two shades, in a frame as long as the capacity."""
    height = PACK_ROW - 3
    blocks = [f'<rect class="room" x="1" y="{top}" width="{PACK_WIDTH - 2}" height="{height}"/>']
    start = 0
    for number, length in enumerate(lengths):
        x, width = 1 + start * scale, max(0.5, length * scale - 0.5)
        shade = "even" if number % 2 == 0 else "odd"
        blocks.append(f'<rect class="{shade}" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}"/>')
        start += length
    return "".join(blocks)
