"""`tessera segment train | evaluate | predict`: a class for every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tessera.cli.command import ReportingCommand
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.cli.vision.encoder import EncoderCommand
from tessera.cli.vision.segment_page import coloured, predictions_page, segment_page
from tessera.evaluation.embedding.folders import picture_files
from tessera.imaging.decode import decode_image
from tessera.pages.page import write_page
from tessera.recipes.backbone.published import SEGMENTERS
from tessera.runtime.json_file import write_json
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown
from tessera.scoring.dense.overlap import Overlap
from tessera.train.heads.dense.masked import Masked, read_masked
from tessera.train.heads.dense.measure import measure, predict
from tessera.train.heads.dense.run import DenseRun
from tessera.train.heads.dense.saved import OpenSegmenter, open_segmenter, save_segmenter
from tessera.train.heads.dense.settings import DenseConfig
from tessera.train.heads.drawn import HELD_OUT, DrawnMasks

Preset = Literal["linear", "upernet", "full", "few-1-16", "few-1-8", "few-1-4", "few-1-2", "few-1-1"]
DRAWN_SIDE = 128


@dataclass(frozen=True, kw_only=True)
class MaskedDataCommand(ReportingCommand):
    """A command about pictures with a class for every pixel."""

    data: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DATA")] = None
    """Folder with images/training, annotations/training, images/validation, annotations/validation."""
    drawn: int | None = None
    """In place of DATA: so many drawn pictures, and a quarter as many held out."""
    drawn_side: int = DRAWN_SIDE
    """Sides of drawn pictures in pixels."""
    classes: str | None = None
    """Number of classes, or a file with the name of one on each line; classes.txt in DATA by default."""
    keep_zero: bool = False
    """0 is a class like others; else it counts nowhere and classes are numbered from 1, as ADE20K's."""

    def part(self, part: Literal["training", "validation"]) -> Masked:
        """Pictures to learn from or held out. ValueError where both or none are given."""
        if (self.data is None) == (self.drawn is None):
            raise ValueError("DATA, --drawn: give one of them")
        if self.data is not None:
            return read_masked(self.data, part, self.names(self.data), not self.keep_zero)
        count, side = self.drawn or 0, self.drawn_side
        if part == "training":
            return DrawnMasks(0, count, side)
        return DrawnMasks(HELD_OUT, max(1, count // 4), side)

    def names(self, data: Path) -> tuple[str, ...]:
        """Of the classes. ValueError where nothing says them."""
        given = self.classes or (str(file) if (file := data / "classes.txt").is_file() else "")
        if given.isdecimal() and 2 <= int(given) <= 255:
            return tuple(f"class {number}" for number in range(int(given)))
        if given and Path(given).is_file():
            found = tuple(
                line.strip() for line in Path(given).read_text(encoding="utf-8").splitlines() if line.strip()
            )
            if 2 <= len(found) <= 255:
                return found
        raise ValueError(
            f"--classes {shown(given)}: give their number, 2 to 255, or a file with a name on each line, or "
            f"put classes.txt into {shown(data)}"
        )


@dataclass(frozen=True, kw_only=True)
class SegmentTrainCommand(MaskedDataCommand, EncoderCommand):
    """Train a head that tells what every pixel shows, and measure it. Settings are published unless given."""

    preset: Preset = "linear"
    """linear and upernet leave the encoder as it is, full and few-1-16 … few-1-1 (a linear head on a part of
    the pictures) train it, too."""
    to: Path = Path("runs/segment")
    """Folder of head, figures and page; a run that was stopped goes on there."""
    layers: tuple[int, ...] = ()
    """States that the head reads; the published ones in proportion to the depth by default."""
    channels: int | None = None
    """Of UperNet."""
    steps: int | None = None
    warmup: int | None = None
    """Steps of the warm-up; a twentieth of --steps where that is given."""
    batch: int | None = None
    rate: float | None = None
    crop: int | None = None
    """Side of what is learned from and asked at once; the window follows it."""
    distort: bool | None = None
    """Whether colours of pictures that are learned from change."""
    save_every: int | None = None
    """Steps between states that a stopped run goes on with."""
    seed: int | None = None

    def targets(self) -> Mapping[Path, bool]:
        """The folder."""
        return {self.to: True}

    def run(self) -> int:
        config = self.config()
        train, held = self.part("training"), self.part("validation")
        encoder = self.opened(learns=not config.frozen)
        run = DenseRun(encoder, train, config, self.to)
        opened = OpenSegmenter(encoder, run.model, config, train.names)
        with progress_bars() as bars:
            run.run(bars)
            save_segmenter(self.to, opened, self.model)
            found = measure(encoder, run.model, config, held, bars)
        values = self.values(opened, found) | {"losses": run.losses}
        write_json(self.to / "result.json", values)
        write_page(self.to / "page.html", segment_page(values, opened, held))
        self.tell(lambda: values, lambda: show(values, self.to / "page.html"))
        return 0

    def config(self) -> DenseConfig:
        """The preset, and what is given."""
        settings = SEGMENTERS[self.preset].model_dump()
        names = ("channels", "steps", "warmup", "batch", "rate", "save_every", "seed")
        settings |= {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.steps is not None and self.warmup is None:
            settings["warmup"] = self.steps // 20
        if self.layers:
            settings["layers"] = self.layers
        if self.distort is not None:
            settings["views"] |= {"distort": self.distort}
        if side := self.crop or (self.drawn_side if self.drawn is not None else None):
            settings["views"] |= {"crop": side, "longest": 4 * side}
            settings |= {"window": side, "stride": round(side * 322 / 504)}
        return DenseConfig.model_validate(settings)

    def values(self, opened: OpenSegmenter, found: Overlap) -> dict[str, Any]:
        """Figures as JSON has them."""
        told = str(self.data) if self.data else f"{self.drawn} drawn pictures"
        return {"model": opened.encoder.name, "data": told, **figure_values(found, opened.names)}


@dataclass(frozen=True, kw_only=True)
class SegmentEvaluateCommand(MaskedDataCommand):
    """Measure a trained head on the validation part of a data set."""

    head: Path
    """Folder of `tessera segment train`."""
    model: str | None = None
    """Its encoder, if it lies elsewhere than when the head was trained."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    page: Path | None = None
    """Page of figures and pictures."""

    def targets(self) -> Mapping[Path, bool]:
        """The page."""
        return {self.page: False} if self.page else {}

    def run(self) -> int:
        held = self.part("validation")
        opened = open_segmenter(self.head, self.model, self.device)
        if len(held.names) != len(opened.names):
            raise ValueError(f"--classes: the data have {len(held.names)}, the head {len(opened.names)}")
        with progress_bars() as bars:
            found = measure(opened.encoder, opened.model, opened.config, held, bars)
        told = str(self.data) if self.data else f"{self.drawn} drawn pictures"
        values = {"model": opened.encoder.name, "data": told, **figure_values(found, opened.names)}
        if self.page is not None:
            write_page(self.page, segment_page(values, opened, held))
        self.tell(lambda: values, lambda: show(values, self.page))
        return 0


@dataclass(frozen=True, kw_only=True)
class SegmentPredictCommand(ReportingCommand):
    """Write what every pixel of pictures shows: PNG files whose pixels are numbers of classes, in colour."""

    pictures: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PICTURES")]
    """Files, or folders with pictures anywhere below."""
    head: Path
    """Folder of `tessera segment train`."""
    model: str | None = None
    """Its encoder, if it lies elsewhere than when the head was trained."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    to: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("segmented")
    """Folder of NAME.png and page.html."""

    def targets(self) -> Mapping[Path, bool]:
        """The folder."""
        return {self.to: True}

    def run(self) -> int:
        files = picture_files(self.pictures)
        if len({file.stem for file in files}) < len(files):
            raise ValueError("PICTURES: two have one name, and would be written to one file; give them apart")
        opened = open_segmenter(self.head, self.model, self.device)
        self.to.mkdir(parents=True, exist_ok=True)
        found = []
        with progress_bars() as bars:
            for number, file in enumerate(files, 1):
                image = decode_image(file)
                labels = predict(opened.encoder, opened.model, opened.config, image)
                coloured(labels).save(self.to / f"{file.stem}.png")
                found.append((file, image, labels))
                bars("pictures", number, len(files))
        write_page(self.to / "page.html", predictions_page(opened, found))
        values = {"classes": list(opened.names), "files": [str(self.to / f"{f.stem}.png") for f in files]}
        told = f"{counted(len(files), 'picture')}: {self.to}, to look at {self.to / 'page.html'}"
        self.tell(lambda: values, lambda: say(Terminal(), told))
        return 0


def figure_values(found: Overlap, names: tuple[str, ...]) -> dict[str, Any]:
    """Figures in percent; None for a class that neither occurs nor is predicted."""
    told = found.figures()
    classes = [
        {"name": name, "iou": iou, "recall": recall}
        for name, iou, recall in zip(names, told.iou, told.recall, strict=True)
    ]
    return {
        "miou": told.miou,
        "aacc": told.aacc,
        "macc": told.macc,
        "pixels": found.pixels,
        "classes": classes,
    }


def show(values: Mapping[str, Any], page: Path | None) -> None:
    """The classes and the means."""
    table, console = figures_table("class", "IoU", "right"), Terminal()
    for one in values["classes"]:
        cells = ("" if one[name] is None else f"{one[name]:.1f} %" for name in ("iou", "recall"))
        table.add_row(one["name"], *cells)
    console.print(table)
    say(console, f"mIoU {values['miou']:.1f} %, aAcc {values['aacc']:.1f} %, mAcc {values['macc']:.1f} %")
    if page is not None:
        say(console, f"to look at: {page}")
