"""A dense head while it is trained: views, steps, and what a run that stopped goes on with."""

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.files.shards import ShardReader, write_shards
from tessera.checkpoints.files.weight_files import open_file
from tessera.models.heads.dense import LinearDense, UperNet
from tessera.models.heads.segmenter import Segmenter
from tessera.nn.drop_path import set_drop_path
from tessera.runtime.atomic import atomic_folder
from tessera.runtime.json_file import read_object, write_json
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.scoring.dense.overlap import IGNORED
from tessera.train.heads.dense.masked import Masked
from tessera.train.heads.dense.settings import DenseConfig
from tessera.train.heads.dense.views import as_batch, training_view
from tessera.train.update.rules import assign

STATE = "state"


def make_segmenter(encoder: VisionEncoder, config: DenseConfig, classes: int) -> Segmenter:
    """A fresh head on an encoder, whose own modules it holds. ValueError for what doesn't fit it."""
    vision = encoder.config
    config.require_patches(vision.patch_size)
    torch.manual_seed(derive_seed("dense", config.seed) % 2**63)
    if config.head == "linear":
        head: LinearDense | UperNet = LinearDense(vision.hidden_size, classes)
    else:
        sizes = (config.channels, config.beside, config.dropout)
        head = UperNet(vision.hidden_size, classes, *sizes)
    return Segmenter(encoder.module, head.to(encoder.device), config.states(vision), config.frozen)


class DenseRun:
    """Trains a head, and the encoder where it is not frozen, in place."""

    def __init__(
        self, encoder: VisionEncoder, data: Masked, config: DenseConfig, folder: Path | None = None
    ) -> None:
        """ValueError for settings that don't fit, and for a folder that holds another run."""
        self.encoder, self.data, self.config, self.folder = encoder, data, config, folder
        self.key = str(derive_seed(config.model_dump_json(), encoder.fingerprint, data.identity))
        self.model = make_segmenter(encoder, config, len(data.names))
        self.groups = assign(self.model, config.rules)
        self.optimizer = torch.optim.AdamW(
            [{"params": [a.parameter], "weight_decay": a.weight_decay} for a in self.groups],
            lr=config.rate,
            betas=config.betas,
        )
        if not config.frozen:
            set_drop_path(self.model, config.drop_path)
        self.step = 0
        self.losses: list[tuple[int, float]] = []
        self._resume()

    def run(self, progress: Progress = silent) -> None:
        """All steps that are left. FloatingPointError when the loss diverges."""
        self.model.train()
        while self.step < self.config.steps:
            loss = self._take(self.step)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss of step {self.step} is {loss}: lower rate")
            self.losses.append((self.step, loss))
            self.step += 1
            progress("steps", self.step, self.config.steps)
            if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                self._save()
        self.model.eval()

    def _take(self, step: int) -> float:
        config, encoder = self.config, self.encoder
        places = list(self._places(step))
        views = [training_view(*self.data[place], config.views, rng) for place, rng in places]
        pixels, labels = as_batch(views, config.views.crop, encoder.mean, encoder.std)
        torch.manual_seed(derive_seed("noise", config.seed, step) % 2**63)
        for group, given in zip(self.optimizer.param_groups, self.groups, strict=True):
            group["lr"] = given.learning_rate * config.factor(step)
        first, second = self.model(pixels.to(encoder.device))
        labels = labels.to(encoder.device)
        loss = _loss(first, labels)
        if second is not None:
            loss = loss + config.second_weight * _loss(second, labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def _places(self, step: int) -> Iterator[tuple[int, Random]]:
        """Pictures of a step: all of them in an order of its own, again and again."""
        size = len(self.data)
        for number in range(step * self.config.batch, (step + 1) * self.config.batch):
            order = list(range(size))
            Random(derive_seed("order", self.config.seed, number // size)).shuffle(order)
            yield order[number % size], Random(derive_seed("view", self.config.seed, number))

    def _save(self) -> None:
        """Weights that learn, and what their updates remember."""
        if self.folder is None:
            return
        with atomic_folder(self.folder / STATE) as fresh:
            write_shards(fresh / "weights", trained_weights(self.model).items())
            memory = {
                f"{assignment.name}/{field}": value.contiguous().cpu()
                for assignment in self.groups
                for field, value in self.optimizer.state[assignment.parameter].items()
            }
            save_file(memory, fresh / "optimizer.safetensors")
            write_json(fresh / "run.json", {"key": self.key, "step": self.step, "losses": self.losses})

    def _resume(self) -> None:
        if self.folder is None or not (file := self.folder / STATE / "run.json").is_file():
            return
        said = read_object(file)
        if said.get("key") != self.key:
            raise ValueError(
                f"{shown(self.folder)} holds a run of other settings, pictures or encoder: give another "
                "folder, or remove it"
            )
        load_weights(self.model, self.folder / STATE / "weights")
        memory = open_file(self.folder / STATE / "optimizer.safetensors")
        by_name = {assignment.name: assignment.parameter for assignment in self.groups}
        for key in memory.keys:
            name, _, field = key.rpartition("/")
            state = self.optimizer.state[by_name[name]]
            value = memory.tensor(key).clone()
            state[field] = value if field == "step" else value.to(by_name[name].device)
        self.step, self.losses = int(said["step"]), [(int(at), float(loss)) for at, loss in said["losses"]]


def trained_weights(model: Segmenter) -> dict[str, torch.Tensor]:
    """Head and its running means; the encoder too where it learned."""
    named = model.state_dict().items()
    return {name: value for name, value in named if not model.frozen or name.startswith("head.")}


def load_weights(model: Segmenter, folder: Path) -> None:
    """Lay stored weights over a model of the same settings. ValueError naming what doesn't fit."""
    wanted = trained_weights(model)
    with ShardReader(folder) as stored:
        for name, value in wanted.items():
            found = stored.shape(name) if name in stored.files else "not there"
            if found != tuple(value.shape):
                raise ValueError(f"{shown(folder)}: {name} is {found}, the model needs {tuple(value.shape)}")
        for name, value in wanted.items():
            value.copy_(stored.tensor(name))


def _loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Over all pixels, those without a label as zeros: mmseg divides by them, too."""
    return F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum") / labels.numel()
