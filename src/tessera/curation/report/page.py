"""The frame of a page, and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from tessera.curation.report.style import STYLE


def render_page(title: str, note: str, sections: Iterable[tuple[str, str]]) -> str:
    """A whole page; sections are (heading, HTML), those without content are left out."""
    body = "".join(f"<section><h2>{escape(name)}</h2>{html}</section>" for name, html in sections if html)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p class=quiet>{escape(note)}</p>{body}</body></html>\n"
    )


def write_page(file: Path, html: str) -> Path:
    """Write a page, making its folder. ValueError when it can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ValueError(f"{file}: {error}; name a file in a folder that can be written") from error
    return file


def table(head: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table of plain values; whole numbers get separators."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class=wide><table class="{kind}"><tr>{top}</tr>{body}</table></div>' if body else ""


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<td>{escape(text)}</td>"
