"""`tessera probe DATA`: how well classes can be told apart by what an encoder gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tessera.cli.retrieval.classify import figure_values, show_figures
from tessera.cli.terminal.tables import Terminal, say
from tessera.cli.vision.encoder import EncoderCommand
from tessera.cli.vision.probe_page import probe_page
from tessera.pages.page import write_page
from tessera.recipes.backbone.class_data import read_class_data
from tessera.recipes.backbone.published import PROBES
from tessera.runtime.json_file import write_json
from tessera.runtime.progress import Progress, progress_bars
from tessera.train.heads.drawn import HELD_OUT, DrawnThings
from tessera.train.heads.few_shot import FewShot, few_shot, require_shots
from tessera.train.heads.labelled import Labelled
from tessera.train.heads.probe import ProbeResult, train_probe
from tessera.train.heads.probe_run import ProbeConfig
from tessera.train.heads.rows import Rows

DRAWN_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class ProbeCommand(EncoderCommand):
    """Train a linear probe on a frozen encoder, and measure it. Settings are published ones unless given."""

    data: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DATA")] = None
    """Folder with train/CLASS/... and val/CLASS/..., or with train.txt and val.txt (docs/backbone.md)."""
    drawn: int | None = None
    """In place of DATA: so many drawn pictures of one thing each, and a quarter as many held out."""
    to: Path = Path("runs/probe")
    """Folder of features, head, figures and page; a run that was stopped goes on there."""
    head: Literal["linear", "attention"] = "linear"
    """Class token beside the mean of patches, or a pooling by attention that learns, too."""
    epochs: int | None = None
    batch: int | None = None
    """Pictures of a step."""
    rate: float | None = None
    """Peak rate for 512 pictures a step."""
    ema: float | None = None
    """Decay of a mean of the weights."""
    augment: Literal["published", "flip", "none"] | None = None
    """published draws parts anew in every epoch; features of flip and none are computed once."""
    side: int | None = None
    """Of the square that the encoder sees."""
    start: str | None = None
    """A head to begin with, or with --epochs 0 to measure: a folder of a probe, or the authors' .pth file."""
    shots: tuple[int, ...] = ()
    """Also learn from so few pictures a class."""
    draws: int = 3
    """Draws of each number of shots."""
    seed: int | None = None

    def targets(self) -> Mapping[Path, bool]:
        """The folder."""
        return {self.to: True}

    def run(self) -> int:
        self.at_least(drawn=8, draws=1)
        config, (train, held) = self.config(), self.pictures()
        for shots in self.shots:
            require_shots(train.labels, shots)
        encoder = self.opened()
        with progress_bars() as bars:
            found = train_probe(encoder, train, held, config, self.to, bars)
            few = self.few(
                Rows(encoder, "linear", config.side or encoder.config.image_size), train, held, bars
            )
        values = self.values(encoder.name, config, found, few, held)
        write_json(self.to / "result.json", values)
        write_page(self.to / "page.html", probe_page(values, found, held))
        self.tell(lambda: values, lambda: self.show(values, found, held))
        return 0

    def config(self) -> ProbeConfig:
        """Published settings of the head, and what is given."""
        names = ("epochs", "batch", "rate", "ema", "augment", "side", "start", "seed")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return ProbeConfig.model_validate(PROBES[self.head].model_dump() | given)

    def pictures(self) -> tuple[Labelled, Labelled]:
        """To learn from and held out. ValueError where both or none are given."""
        if (self.data is None) == (self.drawn is None):
            raise ValueError("DATA, --drawn: give one of them")
        if self.data is not None:
            return read_class_data(self.data)
        count, side = self.drawn or 0, max(self.side or 0, DRAWN_SIDE)
        held = DrawnThings(HELD_OUT, max(1, count // 4), side)
        return DrawnThings(0, count, side).labelled(), held.labelled()

    def few(self, rows: Rows, train: Labelled, held: Labelled, progress: Progress) -> list[FewShot]:
        """Figures of every number of shots."""
        if not self.shots:
            return []
        seen = [
            rows.kept(data.pictures, self.to / "features", part, progress)
            for part, data in (("learned", train), ("held-out", held))
        ]
        return [
            few_shot(seen[0], train.labels, seen[1], held.labels, shots, self.draws, self.seed or 0)
            for shots in self.shots
        ]

    def values(
        self, model: str, config: ProbeConfig, found: ProbeResult, few: list[FewShot], held: Labelled
    ) -> dict[str, Any]:
        """All that is to be told, as JSON has it."""
        return {
            "model": model,
            "data": str(self.data) if self.data else f"{self.drawn} drawn pictures",
            "settings": config.model_dump(mode="json"),
            **figure_values(found.figures, held.names),
            "epochs": list(found.history),
            "few_shot": [
                {"shots": one.shots, "acc1": one.mean, "deviation": one.deviation, "draws": list(one.acc1)}
                for one in few
            ],
        }

    def show(self, values: Mapping[str, Any], found: ProbeResult, held: Labelled) -> None:
        """The classes and the figures."""
        show_figures(found.figures, held.names)
        console = Terminal()
        for one in values["few_shot"]:
            spread = "" if one["deviation"] is None else f" +- {one['deviation']:.1f}"
            say(console, f"{one['shots']} a class: acc1 {one['acc1']:.1f}{spread} %")
        say(console, f"to look at: {self.to / 'page.html'}")
