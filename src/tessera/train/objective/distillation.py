"""Pictures of any source: a small ViT learns to see what a large one sees."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field

from tessera.chat.encoder import Encoder
from tessera.checkpoints.bases.parts import VisionBase
from tessera.checkpoints.fill import fill
from tessera.checkpoints.surgery import part_tensors, save_part
from tessera.models.config import VLMConfig
from tessera.models.distillation import Distiller, Teacher, TeacherConfig
from tessera.models.initialise import initialise, without_memory
from tessera.models.vision.internvit import VisionTransformer
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack, split_pack
from tessera.packing.planning.balance import Work
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Checked, Counts, Sources, StageData, Tensors
from tessera.train.objective.learner import Start, assemble, base_folder
from tessera.train.objective.records import check_records, packs_per_pass
from tessera.train.parallel.ranks import Ranks


@dataclass(frozen=True)
class VisionLearner:
    """A ViT that learns from another, and the encoder that cuts pictures for it; what is saved is the ViT."""

    model: Distiller
    encoder: Encoder
    seed: int

    @classmethod
    def start(cls, start: Start, seed: int, still: Callable[[str], bool] | None = None) -> Self:
        """A fresh ViT of the family's shape, or the one that `start` names."""
        for name in ("checkpoint", "decoder", "add_tokens", "adapter"):
            if value := getattr(start, name):
                raise ValueError(f"start.{name} = {value!r}: a ViT alone is trained; give start.vision")
        if start.frozen != "stored":
            raise ValueError(f"start.frozen = {start.frozen!r}: all of a ViT alone is trained; leave it out")
        parts = assemble(start)
        config = parts.family.model
        if not isinstance(config, VLMConfig):
            raise ValueError(f"start.family = {start.family!r}: a ViT of InternVL learns here")
        model = Distiller(config.vision, config.mean, config.std)
        initialise(model, derive_seed("initialise", seed) % 2**31)
        parts.lay_vision(model)
        return cls(model, parts.family.encoder(parts.tokenizer), seed)

    def save(self, folder: Path, card: dict[str, object], tensors: Tensors) -> None:
        """The ViT alone."""
        save_part(self.model, "vision", folder, card=card, tensors=tensors)


class DistillationObjective(Config):
    """Imitate the last states of a teacher: 1 - cosine, meaned over a tile; texts are not looked at.

    Mini-InternVL's paper (2410.16261) compares the last K layers without telling K, of pictures squeezed into
    one tile (`max_dynamic_patch` 1 in a manifest).
    """

    kind: Literal["distillation"] = "distillation"
    teacher: str = "shipped"
    """A ViT: folder or hub name of an InternViT or of a model that has one, a run, or "shipped"."""
    layers: int = Field(default=1, gt=0)
    """How many of the last layers are compared."""
    teacher_layer: int = -1
    """State of the teacher that counts as its last."""
    learner: ClassVar[type[VisionLearner]] = VisionLearner
    batch: ClassVar[type[Pack]] = Pack

    def check(self, data: StageData, learner: VisionLearner, progress: Progress = silent) -> Checked:
        """Every record of every source; opens the teacher."""
        self._open_teacher(learner)
        return check_records(data, learner.encoder, progress)

    def _open_teacher(self, learner: VisionLearner) -> None:
        base = VisionBase.find(base_folder(self.teacher, "vision"))
        depth, top = base.config.num_hidden_layers, self.teacher_layer
        if not -depth - 1 <= top <= depth or top % (depth + 1) < self.layers:
            raise ValueError(
                f"teacher_layer = {top}, layers = {self.layers}: the teacher has states 0 to {depth}, and 0 "
                "is no layer's; take a higher one, or compare fewer"
            )
        config = TeacherConfig(
            name=self.teacher, vision=base.config, top=top, layers=self.layers, **base.pixels
        )
        if learner.model.imitates(config):
            return
        with without_memory():
            vit = VisionTransformer(base.config)
        tensors = part_tensors(vit, "vision", base.folder, base.resized(base.config.grid))
        fill(vit, ((name.removeprefix("vision."), tensor) for name, tensor in tensors))
        learner.model.imitate(Teacher(vit, config))
        initialise(learner.model.projection_heads, derive_seed("projection", learner.seed) % 2**31)

    def loader(
        self, data: StageData, learner: VisionLearner, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> PackLoader:
        """Packs of one rank, balanced by their tiles."""
        packing = data.packing.model_copy(update={"seed": derive_seed("stage", *seeds, data.packing.seed)})
        step, work = data.accumulate, Work(tile=1.0, token=0.0)
        return PackLoader(sources, learner.encoder, packing, ranks.rank, ranks.world, step, work)

    def batches_per_pass(self, data: StageData, learner: VisionLearner, sources: Sources) -> float:
        """Packs that all records fill."""
        return packs_per_pass(data, learner.encoder, sources)

    def weight(self, batch: Pack) -> float:
        """Its tiles."""
        return float(len(batch.tiles))

    def loss_sum(self, model: Distiller, batch: Pack, device: torch.device) -> torch.Tensor:
        """Sum over tiles of 1 - cosine, float32 scalar on `device`."""
        if not len(batch.tiles):
            return model.vision.like.float().sum() * 0  # with a graph, for there is a step all the same
        return model.distances(batch.tiles.to(device)).sum()

    def counts(self, batch: Pack) -> Counts:
        """Samples, tokens and tiles; each tile is something learned."""
        return Counts(len(batch.lengths), sum(batch.lengths), len(batch.tiles), len(batch.tiles))

    def keys(self, batch: Pack) -> tuple[str, ...]:
        """Of its samples."""
        return batch.keys

    def alone(self, batch: Pack) -> list[Pack]:
        """A pack for each sample."""
        return split_pack(batch)

    def idle(self, model: Distiller, batch: Pack | None, tiles: bool) -> Pack:
        """A ViT alone is not sharded: nobody waits for a rank without pictures."""
        raise ValueError("parallel: a ViT alone is not sharded; leave shard, sequence and tensor out")
