"""Links of a choice: masks in COCO's code and as PNG, pictures and boxes, in a field of their own."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import PIL.Image

from tessera.engine.links.decoders import LinkResult, Mask
from tessera.engine.links.linker import AnswerLink
from tessera.imaging.masks.overlay import mask_box, mask_picture
from tessera.imaging.masks.rle import encode_mask


def decode_links(links: Iterable[AnswerLink]) -> None:
    """Make all results now, which may take long; what fails is told by `told_links`."""
    for link in links:
        with suppress(ValueError):
            _ = link.result


def told_links(links: Sequence[AnswerLink]) -> dict[str, list[dict[str, Any]]]:
    """The field `links` of a choice; nothing for an answer without."""
    return {"links": [_told(link) for link in links]} if links else {}


def _told(link: AnswerLink) -> dict[str, Any]:
    """place: the number of its token among the answer's. fault: why it became nothing."""
    entry: dict[str, Any] = {"token": link.token, "place": link.place, "decoder": link.decoder}
    try:
        return entry | _result(link.result)
    except ValueError as error:
        return entry | {"fault": str(error)}


def _result(result: LinkResult) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if result.masks:
        found["masks"] = [_mask(mask) for mask in result.masks]
    if result.pictures:
        found["pictures"] = [_address(picture) for picture in result.pictures]
    if result.boxes:
        found["boxes"] = [list(box) for box in result.boxes]
    return found


def _mask(mask: Mask) -> dict[str, Any]:
    told = {"picture": mask.picture, "box": mask_box(mask.pixels), "score": round(mask.score, 4)}
    return told | encode_mask(mask.pixels) | {"url": _address(mask_picture(mask.pixels).convert("1"))}


def _address(picture: PIL.Image.Image) -> str:
    """A picture as a `data:` address of PNG."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
