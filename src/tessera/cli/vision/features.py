"""`tessera features PICTURES -o FILE`: what a vision encoder gives, as a file and as colours to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import PIL.Image
import torch
import tyro
from safetensors.torch import save

from tessera.checkpoints.backbone.colours import feature_colours
from tessera.checkpoints.backbone.features import Features
from tessera.checkpoints.backbone.pictures import Fit, Size
from tessera.cli.terminal.tables import Terminal, say
from tessera.cli.vision.encoder import EncoderCommand
from tessera.evaluation.embedding.folders import picture_files
from tessera.imaging.decode import decode_image
from tessera.pages.blocks import SampleCard, SampleCards, ShownMedia
from tessera.pages.page import HtmlPage, write_page
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown

HEIGHT = 224
"""Pixels of a picture on the page."""


@dataclass(frozen=True, kw_only=True)
class FeaturesCommand(EncoderCommand):
    """Write features of pictures: one of every patch, of any layer, and one of the whole."""

    pictures: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PICTURES")]
    """Files, or folders with pictures anywhere below."""
    layers: tuple[int, ...] = (-1,)
    """Numbers of layers: 0 the embeddings, 1 the first, -1 the last."""
    size: str = ""
    """Side in pixels, HEIGHTxWIDTH, or own; the square of its training by default."""
    fit: Literal["none", "round", "pad"] = "none"
    """What to do with sides that are no multiple of the patch: refuse, resize to the nearest, or fill up."""
    to: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("features.safetensors")
    """File: `pooled/N` [D] and `layer_L/N` [h, w, D] of the N-th picture; its header lists the pictures."""
    page: Path | None = None
    """Page with the three strongest directions of the features as colours, beside the pictures."""

    def targets(self) -> Mapping[Path, bool]:
        """The file and the page."""
        return {self.to: False} | ({self.page: False} if self.page else {})

    def run(self) -> int:
        if not self.layers:
            raise ValueError("--layers: none given; name some, or leave it out for the last")
        files, size = picture_files(self.pictures), read_size(self.size)
        fit: Fit | None = None if self.fit == "none" else self.fit
        encoder = self.opened()
        tensors: dict[str, torch.Tensor] = {}
        with progress_bars() as bars:
            done = 0
            for found in encoder.stream(files, size=size, fit=fit, layers=self.layers):
                tensors |= named(found, done)
                done += len(found)
                bars("pictures", done, len(files))
        header = {str(number): str(file) for number, file in enumerate(files)} | {"model": encoder.name}
        with disk_faults(self.to), atomic_write(self.to) as stream:
            stream.write(save(tensors, header))
        if self.page is not None:
            write_page(self.page, features_page(encoder.name, files, self.layers, tensors))
        self.tell(lambda: self._values(files, tensors), lambda: self._show(repr(encoder), files, tensors))
        return 0

    def _values(self, files: list[Path], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
        shapes = [list(tensors[f"layer_{self.layers[0]}/{n}"].shape) for n in range(len(files))]
        pairs = zip(files, shapes, strict=True)
        return {"file": self.to, "pictures": [{"picture": file, "shape": shape} for file, shape in pairs]}

    def _show(self, model: str, files: list[Path], tensors: dict[str, torch.Tensor]) -> None:
        shape = " x ".join(map(str, tensors[f"layer_{self.layers[0]}/0"].shape))
        written = f"{counted(len(files), 'picture')}, {len(self.layers)} of its layers, the first {shape}"
        seen = [] if self.page is None else [f"to look at: {self.page}"]
        say(Terminal(), model, f"{written}: {self.to}", *seen)


def named(found: Features, first: int) -> dict[str, torch.Tensor]:
    """A batch's features by layer and number of the picture, on the CPU."""
    parts = {f"layer_{layer}": maps for layer, maps in found.layers.items()} | {"pooled": found.pooled}
    return {
        f"{name}/{first + at}": one.cpu().clone()
        for name, rows in parts.items()
        for at, one in enumerate(rows)
    }


def read_size(given: str) -> Size:
    """A size in words. ValueError for what is none."""
    if given in ("", "own"):
        return given or None  # type: ignore[return-value]
    try:
        sides = tuple(int(part) for part in given.lower().split("x"))
    except ValueError:
        sides = ()
    match sides:
        case (side,):
            return side
        case (height, width):
            return height, width
    raise ValueError(f"--size {shown(given)}: give a side, HEIGHTxWIDTH such as 448x896, or own")


def features_page(
    model: str, files: list[Path], layers: tuple[int, ...], tensors: dict[str, torch.Tensor]
) -> HtmlPage:
    """Each picture beside the colours of its features, which mean the same in all pictures of a layer."""
    maps = {
        layer: feature_colours([tensors[f"layer_{layer}/{n}"] for n in range(len(files))]) for layer in layers
    }
    cards = []
    for number, file in enumerate(files):
        picture = decode_image(file).copy()
        picture.thumbnail((2 * HEIGHT, HEIGHT))
        media = [ShownMedia("picture", picture)]
        for layer, colours in maps.items():
            seen = PIL.Image.fromarray(colours[number].numpy())
            media.append(ShownMedia(f"layer {layer}", seen, height=HEIGHT))
        cards.append(SampleCard((shown(file),), media))
    note = "Red, green and blue are the three directions in which patches differ most, in all pictures alike."
    return HtmlPage(f"Features of {model}", note, (("Pictures", [SampleCards(cards)]),))
