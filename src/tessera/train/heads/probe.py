"""A linear probe and the one that pools by attention, as InternVL 1.0 measured its encoder
(docs/facts/backbone.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.models.heads.probe import AttentionProbe, LinearProbe
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.scoring.ranking.classes import ClassFigures, class_figures
from tessera.train.heads.labelled import Labelled
from tessera.train.heads.probe_run import ProbeConfig, ProbeRun, best_classes
from tessera.train.heads.rows import Batch, Rows


@dataclass(frozen=True)
class ProbeResult:
    """A trained probe and what it was measured at."""

    probe: LinearProbe | AttentionProbe
    figures: ClassFigures
    guesses: tuple[tuple[int, ...], ...]
    """The best classes of every held-out picture, best first."""
    history: tuple[dict[str, float], ...]
    """Loss and accuracy of every epoch."""


def train_probe(
    encoder: VisionEncoder,
    train: Labelled,
    held_out: Labelled,
    config: ProbeConfig | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
) -> ProbeResult:
    """Train a probe and measure it. In a folder, features are kept and an epoch that ended is not repeated.

    ValueError for classes that differ, a batch larger than the data, a side that is no multiple of the patch,
    and a folder that holds another probe.
    """
    config = config or ProbeConfig()
    side = config.side or encoder.config.image_size
    _check(encoder, train, held_out, config, side)
    rows = Rows(encoder, config.head, side)
    place = None if folder is None else folder / "features"
    seen = rows.kept(held_out.pictures, place, "held-out", progress)
    run = ProbeRun(encoder, train, held_out, config, folder, side)
    if run.epoch < config.epochs:
        batch = _batches(rows, train, config, place, progress)
        while run.epoch < config.epochs:
            run.learn(batch, progress)
            run.note(seen)
            run.save()
    probe = run.measured()
    guesses = best_classes(probe, seen)
    figures = class_figures(held_out.labels, guesses, len(held_out.names))
    return ProbeResult(probe, figures, guesses, tuple(run.history))


def _check(
    encoder: VisionEncoder, train: Labelled, held_out: Labelled, config: ProbeConfig, side: int
) -> None:
    if train.names != held_out.names:
        raise ValueError("classes of the held-out pictures are not those of the pictures to learn from")
    if side % encoder.config.patch_size:
        raise ValueError(f"side = {side} is no multiple of the patch, {encoder.config.patch_size}")
    if config.epochs and len(train.labels) < config.batch:
        raise ValueError(
            f"batch = {config.batch}: there are {len(train.labels)} pictures to learn from; give a smaller"
            " one"
        )
    steps = config.epochs * (len(train.labels) // config.batch)
    if config.epochs and config.ema is not None and steps < (reach := round(1 / (1 - config.ema))):
        raise ValueError(
            f"ema = {config.ema}: the mean reaches back over {reach} steps and would keep what was drawn, "
            f"for the run has {steps}; give less, or leave it out"
        )
    if not config.epochs and config.start is None:
        raise ValueError("epochs = 0 measures a head that is there: give start")


def _batches(
    rows: Rows, train: Labelled, config: ProbeConfig, place: Path | None, progress: Progress
) -> Batch:
    """Where the rows of a step come from."""
    if config.augment == "published":
        return lambda places, epoch: rows.drawn(train.pictures, places, derive_seed(config.seed, epoch))
    views = [
        rows.kept(train.pictures, place, "learned", progress, mirrored)
        for mirrored in (False, True)
        if not mirrored or config.augment == "flip"
    ]

    def batch(places: Sequence[int], epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(derive_seed(config.seed, "mirror", epoch, *places[:1]))
        chosen = torch.randint(len(views), (len(places),), generator=generator).tolist()
        return torch.stack([views[view][place] for view, place in zip(chosen, places, strict=True)])

    return batch
