"""Answers of the model's own, made likelier as far as they are better than others of their group (GRPO).

Each step draws responses with the weights as they are and learns from them once: the ratio of new to old
probabilities is 1 where it is differentiated, so nothing is clipped (arXiv 2402.03300, equation 3).
"""

from typing import Literal, Self

import torch
from pydantic import Field, PrivateAttr, field_validator

from tessera.models.vlm import VLM
from tessera.packing.pack import Pack
from tessera.runtime.seeds import derive_seed
from tessera.scoring.reasoned.extraction import extract_answer
from tessera.scoring.reasoned.judging import AnswerJudge
from tessera.train.objective.answers import AnswerLogprobs, answer_logprobs
from tessera.train.objective.contract import Beginning, Sources, StageData
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.policies.loader import RolloutLoader
from tessera.train.objective.policies.rollouts import PolicyBatch
from tessera.train.objective.preferences.reference import ModelReference, open_model_reference
from tessera.train.parallel.ranks import Ranks

FIGURES = ("reward", "right", "length", "whole", "kl", "informed")


class PolicyObjective(ConversationObjective):
    """Learn from responses of the model itself. A record's last answer says what is right."""

    kind: Literal["policy"] = "policy"  # type: ignore[assignment]
    batch = PolicyBatch
    prompts: int = Field(default=8, gt=0)
    """Questions a step."""
    group: int = Field(default=8, gt=1)
    """Responses to each."""
    max_new_tokens: int = Field(default=1024, gt=0)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    prompt_version: str = "en_v2"
    """How the answer of a response is found: en, zh, en_v2, zh_v2, en_r1, zh_r1 (docs/prefer.md)."""
    modes: tuple[str, ...] = ()
    """Modes by which it is right; () takes those of the source by its name, as `prefer score` does."""
    format_reward: float = Field(default=0.0, allow_inf_nan=False)
    """What a wrong answer in the right format is worth; a right one is worth 1, one without the format 0."""
    critic: str | None = None
    """A process reward model whose score is added to that, weighted by `critic_weight`."""
    critic_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    scaled: bool = True
    """Divide advantages by the deviation of the group's rewards."""
    averaging: Literal["response", "token", "constant"] = "response"
    """Tokens are meaned over each response, then over responses (GRPO); over all (DAPO); or summed and
    divided by max_new_tokens (Dr. GRPO)."""
    beta: float = Field(default=0.04, ge=0, allow_inf_nan=False)
    """Weight of the distance to the reference, token by token; 0 needs no reference."""
    reference: Literal["copy", "base"] = "copy"
    """A second copy of the first weights, or the model without its LoRA factors."""

    @field_validator("prompt_version")
    @classmethod
    def _finds_answers(cls, name: str) -> str:
        extract_answer("", name)  # refuses a version that has no rule
        return name

    @field_validator("modes")
    @classmethod
    def _judges(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return AnswerJudge(names).modes if names else names

    def loader(  # type: ignore[override]
        self, data: StageData, learner: ChatLearner, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> RolloutLoader:
        """Responses, when somebody responds. ValueError for several processes."""
        if ranks.world > 1:
            raise ValueError(
                f"objective = 'policy': responses are drawn by one process, here are {ranks.world}; start it "
                "without torchrun"
            )
        seed = derive_seed("stage", *seeds, data.packing.seed)
        packing = data.packing.model_copy(update={"seed": seed})
        return RolloutLoader(sources, learner, packing, self.prompts, self.group, self.scaled)

    def batches_per_pass(self, data: StageData, learner: ChatLearner, sources: Sources) -> float:
        """As many as steps of all questions have. ValueError for a source without an end."""
        records = [(entry.source.size, entry.repeat) for entry in sources]
        if any(size is None for size, _ in records):
            raise ValueError(f"stage {data.name!r}: a source has no end; give steps alone")
        return data.accumulate * sum((size or 0) * repeat for size, repeat in records) / self.prompts

    def begin(self, beginning: Beginning) -> "RunningPolicy":
        """With the reference that the stage starts from."""
        reference = open_model_reference(self.reference, beginning) if self.beta else None
        return RunningPolicy.comparing(self, reference)

    def assumed(self, device: torch.device) -> "RunningPolicy":
        """As if nothing was compared."""
        return RunningPolicy.comparing(self, None)

    def beside(self, weights: int) -> int:
        """Those of a second copy."""
        return weights if self.beta and self.reference == "copy" else 0

    def weight(self, batch: Pack) -> float:
        """What the losses of its tokens are divided by."""
        if self.averaging == "token":
            return float(sum(map(sum, batch.branches)))
        responses = sum(map(len, batch.branches))
        return float(responses * (self.max_new_tokens if self.averaging == "constant" else 1))

    def alone(self, batch: Pack) -> list[Pack]:
        """The whole: what a response is worth stands beside the pack."""
        return [batch]

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Only what has begun has a reference."""
        raise ValueError("objective: call begin first")


class RunningPolicy(PolicyObjective):
    """With its reference."""

    _reference: ModelReference | None = PrivateAttr(default=None)
    _sums: list[torch.Tensor] = PrivateAttr(default_factory=list)

    @classmethod
    def comparing(cls, objective: PolicyObjective, reference: ModelReference | None) -> Self:
        """With a reference, or none."""
        running = cls(**objective.model_dump())
        running._reference = reference
        return running

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Sum over tokens of -advantage * ratio + beta * distance, weighted as `averaging` says; float32."""
        found = answer_logprobs(model, batch, device)
        logprobs = found.logprobs
        given = batch.advantages if isinstance(batch, PolicyBatch) else torch.zeros(found.answers)
        ratio = (logprobs - logprobs.detach()).exp()
        losses = -given.to(device)[found.owner] * ratio
        distance = torch.zeros_like(logprobs)
        if self._reference is not None:
            gap = self._reference(model, batch, device).logprobs - logprobs
            distance = gap.exp() - gap - 1  # never below 0, and its mean over samples is the divergence
            losses = losses + self.beta * distance
        if self.averaging == "response":
            losses = losses / found.lengths[found.owner].float()
        if isinstance(batch, PolicyBatch):
            self._note(batch, found, distance.detach())
        return losses.sum()

    def _note(self, batch: PolicyBatch, found: AnswerLogprobs, distance: torch.Tensor) -> None:
        device = distance.device
        rewards, whole = batch.rewards.to(device).double(), batch.whole.to(device).double()
        informed = (batch.advantages != 0).to(device).double()
        rows = [rewards, (rewards >= 1).double(), found.lengths, whole, torch.zeros_like(rewards), informed]
        sums = torch.stack(rows).sum(1)
        sums[FIGURES.index("kl")] = distance.double().sum()
        counts = torch.tensor([found.answers, len(distance)], dtype=torch.float64, device=device)
        self._sums.append(torch.cat([sums, counts]))

    def state_dict(self) -> dict[str, float]:
        """Nothing is remembered."""
        return {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Nothing is remembered."""

    def held_out(self, beginning: Beginning) -> ConversationObjective:
        """Records held out are measured as answers that are given."""
        return ConversationObjective()

    def figures(self) -> dict[str, torch.Tensor]:
        """Of the step's responses: mean reward, share with 1 or more, tokens, share that ended, distance a
        token, and share in groups whose rewards differ, which alone teach."""
        noted = self._sums.copy()
        self._sums.clear()
        sums = torch.stack(noted).sum(0)
        *values, answers, tokens = sums
        means = [value / answers for value in values]
        means[FIGURES.index("kl")] = values[FIGURES.index("kl")] / tokens
        return dict(zip(FIGURES, means, strict=True))
