"""Pages as files: values in, one HTML file out."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jinja2
import PIL.Image

from tessera.pages.blocks import PageBlock

HUES = 10
"""Colours that tell sources apart; they repeat after so many."""


@dataclass(frozen=True)
class HtmlPage:
    """A title, a note below it, and sections of (heading, blocks); those that draw nothing are left out.

    filters: name → choices; in the browser only cards whose tag is chosen are shown, without one all.
    """

    title: str
    note: str
    sections: Sequence[tuple[str, Sequence[PageBlock]]]
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    template: ClassVar[str] = "page.html"


@dataclass(frozen=True)
class ReviewPage:
    """Records to decide about in the browser: `data` is what `templates/review.js` reads."""

    title: str
    data: Mapping[str, Any]
    template: ClassVar[str] = "review.html"


def render(page: HtmlPage | ReviewPage) -> str:
    """The page as HTML text."""
    return _environment().get_template(page.template).render(page=page)


def write_page(file: Path, page: HtmlPage | ReviewPage) -> Path:
    """Write a page, making its folder. ValueError when it can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Half a surrogate pair in the data must not lose the page; in JSON the escape even reads back.
        file.write_text(render(page), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ValueError(f"{file}: {error}; name a file in a folder that can be written") from error
    return file


def data_address(picture: PIL.Image.Image, exact: bool = False) -> str:
    """A picture as a `data:` address: a JPEG, or a PNG when every pixel counts."""
    stream = io.BytesIO()
    picture.save(stream, "PNG" if exact else "JPEG", quality=80)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def hue(number: int) -> str:
    """The colour of a source by its number, readable on light and dark."""
    return f"hsl({(210 + number % HUES * 138) % 360} var(--rich) var(--light))"


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tessera.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"address": data_address, "hue": hue}
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return made
