"""A probe while it is trained: order, steps, mean of its weights, and how a run that stopped goes on."""

import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.files.weight_files import open_file
from tessera.models.heads.probe import AttentionProbe, LinearProbe, ProbeKind, make_probe
from tessera.runtime.atomic import atomic_folder
from tessera.runtime.config import Config
from tessera.runtime.json_file import read_object, write_json
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.train.heads.labelled import Labelled
from tessera.train.heads.rows import Batch
from tessera.train.update.schedule import Schedule

AT = 512
"""Pictures of a step that the rate is given for."""
AT_ONCE = 1024
"""Rows that are scored together."""
STATE, HEAD, RUN = "state", "head.safetensors", "run.safetensors"


class ProbeConfig(Config):
    """How a probe is trained; the defaults are published."""

    head: ProbeKind = "linear"
    epochs: int = Field(default=10, ge=0)
    """0 measures the head that `start` names."""
    warmup_epochs: float = Field(default=1.0, ge=0)
    batch: int = Field(default=1024, gt=1)
    """Pictures of a step."""
    rate: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """Peak rate for 512 pictures a step; it grows with them."""
    momentum: float = Field(default=0.9, gt=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    clip: float | None = Field(default=5.0, gt=0)
    """Largest norm of the gradient."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of a moving mean of the weights that is measured in their place; 0.998 in the runs on 64 GPUs."""
    augment: Literal["published", "flip", "none"] = "published"
    """Random parts, mirrored half of the time, which take a pass of the encoder in every epoch; or the
    middle, mirrored or not, whose features are computed once."""
    side: int | None = Field(default=None, gt=0)
    """Of the square that the encoder sees; None takes that of its training."""
    seed: int = 0
    start: str | None = None
    """A head to begin with: a folder of a probe, or a file such as intern_vit_6b_224px_head.pth."""


class ProbeRun:
    """A probe while it is trained."""

    def __init__(
        self,
        encoder: VisionEncoder,
        train: Labelled,
        held_out: Labelled,
        config: ProbeConfig,
        folder: Path | None,
        side: int,
    ) -> None:
        self.config, self.folder, self.train, self.held_out = config, folder, train, held_out
        self.device = encoder.device
        torch.manual_seed(derive_seed("probe", config.seed) % 2**63)
        self.probe = make_probe(config.head, encoder.config, len(train.names)).to(self.device)
        if config.start is not None:
            load_head(self.probe, Path(config.start))
        self.optimizer = torch.optim.SGD(
            self.probe.parameters(),
            lr=config.rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
        self.averages = {name: value.clone() for name, value in self.probe.state_dict().items()}
        self.history: list[dict[str, float]] = []
        said = (encoder.fingerprint, train.pictures.identity, held_out.pictures.identity, train.labels, side)
        self.key = str(derive_seed(config.model_dump_json(), *map(str, said)))
        self._resume()

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return len(self.history)

    def learn(self, batch: Batch, progress: Progress) -> None:
        """One epoch."""
        self.probe.train()
        generator = torch.Generator().manual_seed(derive_seed("order", self.config.seed, self.epoch))
        order = torch.randperm(len(self.train.labels), generator=generator).tolist()
        size, labels = self.config.batch, torch.tensor(self.train.labels)
        steps = len(order) // size
        total = 0.0
        for step in range(steps):
            places = order[step * size : (step + 1) * size]
            rows = batch(places, self.epoch).to(self.device, torch.float32)
            total += self._step(rows, labels[places].to(self.device), self.epoch * steps + step, steps)
            progress(f"epoch {self.epoch + 1} of {self.config.epochs}", step + 1, steps)
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss of epoch {self.epoch + 1} is {total}: lower rate")
        self.history.append({"loss": total / steps})

    def _step(self, rows: torch.Tensor, labels: torch.Tensor, done: int, steps: int) -> float:
        config = self.config
        schedule = Schedule(kind="cosine", warmup=round(config.warmup_epochs * steps))
        peak = config.rate * config.batch / AT
        self.optimizer.param_groups[0]["lr"] = peak * schedule.factor(done, config.epochs * steps)
        loss = F.cross_entropy(self.probe(rows), labels, label_smoothing=config.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.clip is not None:
            nn.utils.clip_grad_norm_(self.probe.parameters(), config.clip)
        self.optimizer.step()
        if config.ema is not None:
            for name, value in self.probe.state_dict().items():
                kept = self.averages[name]
                kept.lerp_(value, 1 - config.ema) if kept.is_floating_point() else kept.copy_(value)
        return loss.item()

    def note(self, seen: torch.Tensor) -> None:
        """Measure the epoch that ended."""
        guesses = best_classes(self.measured(), seen)
        right = sum(g[0] == t for g, t in zip(guesses, self.held_out.labels, strict=True))
        self.history[-1]["acc1"] = 100 * right / len(guesses)

    def measured(self) -> LinearProbe | AttentionProbe:
        """The probe in evaluation, with the mean of its weights where one is kept."""
        self.probe.eval()
        if self.config.ema is None or not self.history:
            return self.probe
        probe = deepcopy(self.probe)
        probe.load_state_dict(self.averages)
        return probe

    def save(self) -> None:
        """The head that is measured, and what a resumed run needs."""
        if self.folder is None:
            return
        state = {f"probe/{name}": value for name, value in self.probe.state_dict().items()}
        state |= {f"mean/{name}": value for name, value in self.averages.items()}
        for number, parameter in enumerate(self.probe.parameters()):
            state[f"momentum/{number}"] = self.optimizer.state[parameter]["momentum_buffer"]
        with atomic_folder(self.folder / STATE) as fresh:
            for name, tensors in ((RUN, state), (HEAD, self.measured().state_dict())):
                held = {key: value.contiguous().cpu() for key, value in tensors.items()}
                (fresh / name).write_bytes(save(held))
            said = {"key": self.key, "history": self.history, "classes": list(self.train.names)}
            write_json(fresh / "state.json", said | {"config": json.loads(self.config.model_dump_json())})

    def _resume(self) -> None:
        if self.folder is None or not (file := self.folder / STATE / "state.json").is_file():
            return
        said = read_object(file)
        if said.get("key") != self.key:
            raise ValueError(
                f"{shown(self.folder)} holds a probe of other settings, pictures or encoder: give another "
                "folder, or remove it"
            )
        stored = open_file(self.folder / STATE / RUN)
        parts: dict[str, dict[str, torch.Tensor]] = {"probe": {}, "mean": {}, "momentum": {}}
        for key in stored.keys:
            part, _, name = key.partition("/")
            parts[part][name] = stored.tensor(key).clone().to(self.device)
        self.probe.load_state_dict(parts["probe"])
        self.averages = parts["mean"]
        for number, parameter in enumerate(self.probe.parameters()):
            self.optimizer.state[parameter]["momentum_buffer"] = parts["momentum"][str(number)]
        self.history = said["history"]


@torch.no_grad()
def best_classes(probe: nn.Module, rows: torch.Tensor, most: int = 5) -> tuple[tuple[int, ...], ...]:
    """The best classes of every row, best first."""
    device = next(probe.parameters()).device
    found: list[tuple[int, ...]] = []
    for some in rows.split(AT_ONCE):
        scores = probe(some.to(device, torch.float32))
        best = scores.topk(min(most, scores.shape[1])).indices
        found += [tuple(row) for row in best.tolist()]
    return tuple(found)


def load_head(probe: nn.Module, place: Path) -> None:
    """Lay a trained head over a probe: a folder of ours, or a file of the authors' code.

    ValueError naming what is missing or of another shape.
    """
    file = place / STATE / HEAD if place.is_dir() else place
    if not file.is_file():
        raise ValueError(f"start = {shown(place)}: no head there; give a folder of a probe, or a .pth file")
    stored = open_file(file)
    wanted = probe.state_dict()
    for name, value in wanted.items():
        if name not in stored.keys and not name.endswith("num_batches_tracked"):
            raise ValueError(f"{shown(file)} lacks {name!r}: it is no head of this kind")
        if name in stored.keys and stored.shape(name) != tuple(value.shape):
            raise ValueError(
                f"{shown(file)}: {name} has shape {stored.shape(name)}, this encoder and these classes need "
                f"{tuple(value.shape)}"
            )
    probe.load_state_dict(
        {name: stored.tensor(name).clone() for name in wanted if name in stored.keys}, False
    )
