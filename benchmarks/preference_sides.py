"""The sides of `preference_step.py`: one MPO step over the same pairs, ours and TRL's."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from training_sides import RULES, adapted, drawn_model, shape_of, take_off
from training_workload import Mixture, pad

from tessera.models.config import VLMConfig
from tessera.models.vlm import VLM
from tessera.nn.lora import lora_linears, without_factors
from tessera.nn.recompute import Recompute, set_recompute
from tessera.packing.pack import Pack, Sample, collate
from tessera.peers.transformers_twin import twin
from tessera.train.objective.answers import answer_logprobs
from tessera.train.objective.preference import PreferenceObjective, RunningPreference
from tessera.train.objective.preferences.reference import still
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.step import Step
from tessera.train.update.rules import assign

CPU = torch.device("cpu")
PEERS = ("padded", "checkpointed")


def draw_pairs(config: VLMConfig, mixture: Mixture, seed: int) -> list[Sample]:
    """A step's pairs: tiles and a question, a chosen answer of the same length each, a rejected one.

    Chosen answers are equally long because TRL means their cross-entropy over the tokens of a batch and ours
    over pairs: so both come to the same.
    """
    rng = random.Random(seed)
    pixels = np.random.default_rng(seed)
    side, marks = config.vision.image_size, mixture.tiles * config.tokens_per_tile
    chosen, pairs = rng.randint(mixture.shortest, mixture.longest), []
    for number in range(mixture.step):
        answers = chosen, rng.randint(mixture.shortest, mixture.longest)
        text = rng.randint(mixture.shortest // 2, mixture.longest // 2)
        words = [rng.randrange(config.image_token_id // 2) for _ in range(1 + text + sum(answers))]
        ids = np.array([words[0], *[config.image_token_id] * marks, *words[1:]], dtype=np.int32)
        weights = np.zeros(len(ids), dtype=np.float32)
        weights[len(ids) - sum(answers) :] = 1.0
        tiles = pixels.integers(0, 256, (mixture.tiles, side, side, 3), dtype=np.uint8)
        pairs.append(Sample(str(number), ids, weights, tiles, None, answers))
    return pairs


def each_answer(pairs: Sequence[Sample]) -> list[Sample]:
    """A sample for each answer behind a prompt of its own, the two of a pair beside each other."""
    found = []
    for pair in pairs:
        start = prompt = len(pair.ids) - sum(pair.branches)
        for length in pair.branches:
            kept = np.r_[:prompt, start : start + length]
            found.append(replace(pair, ids=pair.ids[kept], weights=pair.weights[kept], branches=(length,)))
            start += length
    return found


def under_factors(model: VLM, pack: Pack, device: torch.device) -> torch.Tensor:
    """What the model without its factors says, as `reference: base` has it."""
    with still(model), without_factors(model):
        return answer_logprobs(model, pack, device).sums


class Unshifted(RunningPreference):
    """Judges by 0 instead of by the running mean, as TRL 1.16.0 does."""

    @property
    def mean_reward(self) -> torch.Tensor:
        """0 at all times."""
        return torch.zeros((), dtype=torch.float64)


class Apart(Unshifted):
    """The same loss where each answer has a prompt and pictures of its own."""

    def weight(self, batch: Pack) -> float:
        """Its pairs."""
        return len(batch.lengths) / 2

    def loss_sum(self, model: Any, batch: Pack, device: torch.device) -> torch.Tensor:
        """Sum over pairs of the weighted losses."""
        found = answer_logprobs(model, batch, device)
        sums, lengths = found.sums.view(-1, 2), found.lengths.view(-1, 2)
        ratios = sums - self._reference(model, batch, device).view(-1, 2)
        weights = ratios.new_tensor([self.preference, self.quality, self.generation])
        return (self._terms(ratios, -(sums / lengths)[:, 0]) * weights).sum().float()


class Ours:
    """One pack through `train.step.Step`; the reference is the model under its factors."""

    def __init__(self, shape: str, dtype: torch.dtype, apart: bool, recompute: Recompute) -> None:
        self.model: nn.Module = drawn_model(shape, "lora").to(dtype)
        self._apart = apart
        set_recompute(self.model, recompute)
        assign(self.model, RULES["lora"])
        kind, objective = Apart if apart else Unshifted, PreferenceObjective(reference="base")
        running = kind.comparing(objective, under_factors, ProcessMesh().data, CPU)
        self._step = Step(running, self.model, CPU)

    def prepare(self, pairs: list[Sample]) -> Any:
        """The step's pack."""
        return [collate(each_answer(pairs) if self._apart else pairs)]

    def gradients(self, batches: Any) -> float:
        """Forward of the reference, forward and backward."""
        return float(self._step.gradients(batches)[0])


class Theirs:
    """`DPOTrainer._compute_loss` of TRL over one right-padded batch, the chosen answers first."""

    def __init__(self, shape: str, dtype: torch.dtype, checkpoint: bool) -> None:
        from trl.trainer.dpo_trainer import DPOTrainer
        from trl.trainer.utils import add_fused_lm_head

        ours = drawn_model(shape, "lora")
        factors = {path: (linear.lora_A, linear.lora_B) for path, linear in lora_linears(ours)}
        take_off(ours)
        self.config, self.dtype, self._loss = shape_of(shape), dtype, DPOTrainer._compute_loss
        base = twin(ours)
        del ours
        add_fused_lm_head(base, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
        self.model: Any = adapted(base, factors).to(dtype).train()
        if checkpoint:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._trainer = self._stand_in()

    def _stand_in(self) -> Any:
        """What the loss asks of its trainer, MPO's settings among it."""
        accelerator = SimpleNamespace(
            device=CPU, gather=lambda x: x, gather_for_metrics=lambda x: x, unwrap_model=lambda x: x
        )
        return SimpleNamespace(
            model=self.model, ref_model=None, accelerator=accelerator, aux_loss_enabled=False, ld_alpha=None,
            precompute_ref_logps=False, f_divergence_type="reverse_kl", beta=0.1, label_smoothing=0.0,
            loss_types=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0], use_weighting=False,
            args=SimpleNamespace(gradient_checkpointing_kwargs={"use_reentrant": False}),
            _metrics={"train": defaultdict(list)}, _total_train_tokens=0, _tp_size=1,
        )  # fmt: skip

    def prepare(self, pairs: list[Sample]) -> Any:
        """The batch as TRL's collator for pictures makes it: pictures once for each answer."""
        answers = each_answer(pairs)
        batch = pad([*answers[::2], *answers[1::2]], self.config, self.dtype)
        mask = (batch.labels >= 0).long()
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask, "completion_mask": mask}
        return inputs | ({} if batch.pixels is None else {"pixel_values": batch.pixels})

    def gradients(self, batches: Any) -> float:
        """Forward, forward of the reference, and backward."""
        loss: torch.Tensor = self._loss(self._trainer, self.model, batches, False)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()
