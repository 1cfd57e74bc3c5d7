"""Pages of segmentation: classes and their figures, pictures beside what every pixel is and is taken for."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.cli.vision.probe_page import bar
from tessera.pages.blocks import PageBlock, SampleCard, SampleCards, ShownMedia, Table
from tessera.pages.chart import Chart
from tessera.pages.page import HtmlPage
from tessera.scoring.dense.overlap import IGNORED
from tessera.train.heads.dense.masked import Labels, Masked
from tessera.train.heads.dense.measure import predict
from tessera.train.heads.dense.saved import OpenSegmenter

MOST, HEIGHT = 16, 192
"""Pictures that are shown, and their height."""
GOLDEN = 0.618034
"""Share of the circle of hues from a class to the next: neighbours are far apart, however many there are."""


def coloured(labels: Labels) -> PIL.Image.Image:
    """Numbers of classes as a picture with a palette; its pixels stay the numbers. 0 and 255 are dark."""
    image = PIL.Image.fromarray(labels)
    image.putpalette(list(chain.from_iterable(map(class_colour, range(256)))))
    return image


def class_colour(number: int) -> tuple[int, int, int]:
    """A colour of a class by its number."""
    if number in (0, IGNORED):
        return (24, 24, 24) if number == 0 else (0, 0, 0)
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.65 + 0.3 * (number % 2), 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def segment_page(values: Mapping[str, Any], opened: OpenSegmenter, data: Masked) -> HtmlPage:
    """Figures of a head, its losses where they are told, and some pictures of the data."""
    cards = []
    for place in range(min(MOST, len(data))):
        image, labels = data[place]
        found = predict(opened.encoder, opened.model, opened.config, image)
        media = [
            ShownMedia("picture", shrunk(image), height=HEIGHT),
            ShownMedia("right", shrunk(coloured(labels)), height=HEIGHT),
            ShownMedia("predicted", shrunk(coloured(found)), height=HEIGHT),
        ]
        share = 100 * float((found == labels)[labels != IGNORED].mean()) if (labels != IGNORED).any() else 0.0
        cards.append(SampleCard((f"{place}", f"{share:.1f} % of pixels right"), media))
    losses = [(int(step), float(loss)) for step, loss in values.get("losses", ())]
    settings = [(name, str(value)) for name, value in opened.config.model_dump(mode="json").items()]
    sections: Sequence[tuple[str, Sequence[PageBlock]]] = (
        ("Pixels", figures(values)),
        ("Loss", [Chart("Loss", losses)] if len(losses) > 1 else []),
        ("Pictures", [SampleCards(cards)]),
        ("Settings", [Table(("setting", "value"), settings, words=True)]),
    )
    return HtmlPage("Segmentation", f"{values['model']} on {values['data']}", sections)


def figures(values: Mapping[str, Any]) -> list[PageBlock]:
    """Means, and every class."""
    named = {"miou": "mIoU", "aacc": "right pixels", "macc": "mean over classes of right pixels"}
    means = [(words, bar(values[name])) for name, words in named.items()]
    rows = [
        (
            one["name"],
            "does not occur" if one["iou"] is None else bar(one["iou"]),
            "does not occur" if one["recall"] is None else bar(one["recall"]),
        )
        for one in values["classes"]
    ]
    return [Table(("", f"of {values['pixels']:,} pixels"), means), Table(("class", "IoU", "right"), rows)]


def predictions_page(
    opened: OpenSegmenter, found: Sequence[tuple[Path, PIL.Image.Image, Labels]]
) -> HtmlPage:
    """Pictures without labels beside what their pixels are taken for, and the names of the classes seen."""
    cards = []
    for file, image, labels in found:
        seen = sorted({int(number) for number in labels.ravel().tolist()})
        told = ", ".join(opened.names[number] for number in seen)
        media = [
            ShownMedia("picture", shrunk(image), height=HEIGHT),
            ShownMedia("predicted", shrunk(coloured(labels)), height=HEIGHT),
        ]
        cards.append(SampleCard((file.name,), media, [("", told)]))
    return HtmlPage("Segmentation", opened.encoder.name, (("Pictures", [SampleCards(cards)]),))


def shrunk(image: PIL.Image.Image) -> PIL.Image.Image:
    """At most twice as high as it is shown."""
    copy = image.copy() if image.mode == "RGB" else image.convert("RGB")
    copy.thumbnail((4 * HEIGHT, 2 * HEIGHT), PIL.Image.Resampling.NEAREST)
    return copy
