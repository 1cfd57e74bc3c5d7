"""Batches of responses that the model gives when a step begins."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Self

from torch import nn

from tessera.chat.message import Conversation
from tessera.packing.config import PackingConfig
from tessera.packing.delivery import LoaderStats
from tessera.packing.mix import Draw, Mixer, MixState
from tessera.packing.samples.encode import DrawEncoder
from tessera.records.source import WeightedSource, sample_key
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.policies.rollouts import (
    PolicyBatch,
    PolicyPrompt,
    Respond,
    group_samples,
    in_packs,
)


class RolloutLoader:
    """Draws `prompts` questions a step, lets the model answer each `group` times, and packs the answers.

    `respond` must be set before the first step. Draws and seeds follow from the seed and the position alone.
    """

    respond: Respond | None = None

    def __init__(
        self,
        sources: tuple[WeightedSource, ...],
        learner: ChatLearner,
        packing: PackingConfig,
        prompts: int,
        group: int,
        scaled: bool,
    ) -> None:
        self.stats, self.keys = LoaderStats(), list[str]()
        self._sources, self._learner, self._packing = sources, learner, packing
        self._prompts, self._group, self._scaled = prompts, group, scaled
        self._encode = DrawEncoder(sources, learner.encoder, "token", packing.augment, packing.seed)
        self._mixer = Mixer(sources, packing.seed, packing.epochs)

    def __iter__(self) -> Iterator[PolicyBatch]:
        return self

    def __next__(self) -> PolicyBatch:
        raise NotImplementedError("responses are drawn for whole steps: call next_step")

    def next_step(self) -> list[PolicyBatch]:
        """The batches of a step. StopIteration at the end of the data."""
        if self.respond is None:
            raise ValueError("objective: on-policy training needs somebody who responds; pass respond=")
        asked = [self._asked(next(self._mixer)) for _ in range(self._prompts)]
        model: nn.Module = self._learner.model
        was = model.training
        model.eval()
        try:
            said = self.respond(asked, model)
        finally:
            model.train(was)
        samples = [
            sample
            for prompt, responses in zip(asked, said, strict=True)
            for sample in group_samples(prompt, responses, self._scaled, self._packing)
        ]
        self.keys = [prompt.key for prompt in asked]
        batches = list(in_packs(samples, self._packing))
        names = [sample.key.rpartition(":")[0] for sample, _ in samples]
        lengths = [sample.lengths for sample, _ in samples]
        self.stats.count(list(zip(names, lengths, strict=True)), self._packing)
        return batches

    def _asked(self, draw: Draw) -> PolicyPrompt:
        source = self._sources[draw.source].source
        talk = self._encode.conversation(draw)
        key, seed = sample_key(source, draw.index), self._packing.seed
        with self._encode.blamed(draw):
            question, target = split_answer(talk)
            prompt = self._learner.encoder.encode(question, generate=True)
        seeds = (derive_seed("rollout", seed, draw.after.draws, number) for number in range(self._group))
        return PolicyPrompt(key, question, prompt, target, tuple(seeds))

    def state_dict(self) -> dict[str, Any]:
        """The position as plain values."""
        at = self._mixer.state
        stats = {name: value for name, value in asdict(self.stats).items() if name != "waited"}
        return {"draws": at.draws, "positions": list(at.positions), "stats": stats}

    def load_state_dict(self, state: dict[str, Any], changed_data: bool = False) -> None:
        """Go on from there."""
        self._mixer.state = MixState(state["draws"], tuple(state["positions"]))
        self.stats = LoaderStats.restored(state["stats"])

    def close(self) -> None:
        """Nothing runs beside."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def split_answer(talk: Conversation) -> tuple[Conversation, str]:
    """The talk up to its last answer, and that answer. ValueError where it ends otherwise."""
    *before, last = talk.messages
    if last.role != "assistant" or not before or before[-1].role != "user":
        raise ValueError("the record ends with no answer to a question: on-policy training judges by it")
    return Conversation(tuple(before)), last.text
