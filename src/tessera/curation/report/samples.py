"""Sample conversations as HTML: pictures with boxes, tiles, trained tokens highlighted, weights on hover."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from itertools import groupby

import PIL.Image

from tessera.curation.report.seen import Piece, Seen, SeenMedia
from tessera.curation.report.style import hue

MOST_PIECES = 1000
"""Tokens of a sample that are written out."""


def sample_cards(samples: Iterable[Seen]) -> str:
    """All samples, one below the other."""
    return "".join(map(_card, samples))


def _card(seen: Seen) -> str:
    head = f"<span>{escape(seen.source)}</span><span>{escape(seen.place)}</span>"
    if seen.problem:
        said = f'<p class="bad">{escape(seen.problem)}</p>'
        return f'<div class="sample"><div class="head">{head}</div>{said}</div>'
    share = seen.trained / max(1, seen.tokens)
    size = f"{seen.tokens:,} tokens, {seen.trained:,} trained ({share:.0%}), {seen.tiles} tiles"
    media = f'<div class="media">{"".join(map(_media, seen.media))}</div>' if seen.media else ""
    rest = len(seen.pieces) - MOST_PIECES
    more = f"<p class=quiet>and {rest:,} more tokens</p>" if rest > 0 else ""
    text = "".join(_run(kind, list(run)) for kind, run in groupby(seen.pieces[:MOST_PIECES], _style))
    return (
        f'<div class="sample"><div class="head">{head}<span>{size}</span></div>'
        f'{media}<p class="text">{text}</p>{more}</div>'
    )


def _style(piece: Piece) -> tuple[str, bool]:
    return piece.kind, piece.weight > 0


def _run(style: tuple[str, bool], pieces: list[Piece]) -> str:
    """Neighbouring tokens of one style. Trained ones are hovered one by one."""
    kind, trained = style
    if trained:
        return "".join(_token(piece) for piece in pieces)
    text = escape("".join(piece.text for piece in pieces))
    return f'<span class="{kind}">{text}</span>' if kind != "text" else text


def _token(piece: Piece) -> str:
    ids = " ".join(map(str, piece.ids))
    return f'<b title="weight {piece.weight:.4g}, token {ids}">{escape(piece.text)}</b>'


def _media(media: SeenMedia) -> str:
    """The picture with its boxes, and what the model sees of it."""
    tiles = "".join(f'<img alt="" src="{jpeg(tile)}">' for tile in media.tiles)
    more = f", {len(media.tiles)} shown" if len(media.tiles) < media.count else ""
    what = "frames" if media.picture is None else "tiles"
    shown = ""
    if media.picture is not None:
        boxes = "".join(_rectangle(n, *box.corners) for n, box in enumerate(media.boxes))
        names = "".join(_name(n, box.name, *box.corners[:2]) for n, box in enumerate(media.boxes) if box.name)
        overlay = (
            f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">{boxes}</svg>{names}' if boxes else ""
        )
        shown = f'<div class="seen"><img alt="" src="{jpeg(media.picture)}">{overlay}</div>'
    caption = f"{escape(media.name)}: {media.count} {what}{more}"
    grid = f' style="grid-template-columns:repeat({media.columns},max-content)"' if media.columns else ""
    kind = "grid" if media.columns else "tiles"
    return f'{shown}<div><div class="{kind}"{grid}>{tiles}</div><small>{caption}</small></div>'


def _rectangle(number: int, x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<rect style="stroke:{hue(number)}" x="{x1:g}" y="{y1:g}" width="{max(0, x2 - x1):g}" '
        f'height="{max(0, y2 - y1):g}"/>'
    )


def _name(number: int, name: str, x: float, y: float) -> str:
    place = f"left:{x / 10:g}%;top:{y / 10:g}%;background:{hue(number)}"
    return f'<span style="{place}">{escape(name[:60])}</span>'


def jpeg(picture: PIL.Image.Image) -> str:
    """A picture as a `data:` address."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
