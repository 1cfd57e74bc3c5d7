"""Generation for many prompts at once: finished sequences leave, the others go on.

First version: the prompts of a batch start together; a batch is at most `max_batch` prompts.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar, cast

from tessera.chat.encoder import Encoded
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded
from tessera.checkpoints.weights import first_not_finite
from tessera.engine.completion import Completion
from tessera.engine.request import place_prompt
from tessera.engine.runner import Runner
from tessera.engine.sampling.choose import choose_rows
from tessera.engine.sampling.options import Sampling
from tessera.engine.sequence import Sequence
from tessera.models.vlm import VLM
from tessera.runtime.progress import Progress, silent

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Engine:
    """Answers prompts with one model. `stop_ids` end an answer (`Encoder.stop_ids`)."""

    model: VLM
    tokenizer: Tokenizer
    stop_ids: frozenset[int]
    max_batch: int = 64
    name: str = "the model"
    visual_increment: float = 1.0
    """Where a call gives none."""

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise ValueError(f"max_batch = {self.max_batch}: give at least 1")

    @classmethod
    def of(cls, loaded: Loaded, max_batch: int = 64) -> Self:
        """The engine for an opened checkpoint."""
        family = loaded.family
        return cls(
            loaded.model, loaded.tokenizer, loaded.stop_ids, max_batch, family.name, family.visual_increment
        )

    def generate(
        self,
        prompts: Seq[Encoded],
        sampling: Sampling | Seq[Sampling] | None = None,
        progress: Progress = silent,
        visual_increment: float | Seq[float] | None = None,
    ) -> list[Completion]:
        """Answers in the order of the prompts; `sampling` is one for all or one each (None: greedy).

        `visual_increment`, one for all or one each, is the step from a visual token to the next (V2PE,
        docs/facts/positions.md): 1, 1/2 ... 1/256, where 1 counts as usual; None takes the engine's. An
        answer depends on its prompt, sampling and increment alone: the same in any batch. Raises ValueError
        for an empty prompt, or one that leaves too little room for its answer. Where the scores of a prompt
        are not finite, its answer has `failed` and says why; the others go on.
        """
        samplings = self._one_each("sampling", sampling or Sampling(), prompts)
        increment = self.visual_increment if visual_increment is None else visual_increment
        increments = self._one_each("visual_increment", increment, prompts)
        completions: list[Completion] = []
        for start in range(0, len(prompts), self.max_batch):
            chunk = slice(start, start + self.max_batch)
            sequences = self._sequences(prompts[chunk], samplings[chunk], increments[chunk])
            for _ in self._run(sequences):
                pass
            completions += [sequence.completion() for sequence in sequences]
            progress("answers", len(completions), len(prompts))
        return completions

    def stream(
        self, prompt: Encoded, sampling: Sampling | None = None, visual_increment: float | None = None
    ) -> Iterator[str]:
        """The answer to one prompt in pieces, as soon as they are certain; joined they are its text.

        Raises ValueError as soon as its scores are not finite.
        """
        increment = self.visual_increment if visual_increment is None else visual_increment
        sequences = self._sequences([prompt], [sampling or Sampling()], [increment])
        for sequence, piece in self._run(sequences):
            if sequence.fault:
                raise ValueError(sequence.fault)
            if piece:
                yield piece

    def _run(self, sequences: list[Sequence]) -> Iterator[tuple[Sequence, str]]:
        """Every new token of every sequence, as the sequence and the text that it makes certain."""
        runner = Runner(self.model, sequences, self.tokenizer.vocab_size)
        active, (scores, finite) = sequences, runner.prefill(sequences)
        while active:
            if not finite.all():
                for sequence in (s for s, sound in zip(active, finite.tolist(), strict=True) if not sound):
                    sequence.finish, sequence.fault = "failed", self._what_is_wrong
                    yield sequence, ""
                active, scores = [s for s in active if s.finish is None], scores[finite]
            choices = choose_rows(scores, [sequence.chooser for sequence in active])
            for sequence, choice in zip(active, choices, strict=True):
                yield sequence, sequence.take(choice, self.stop_ids)
            active = [s for s in active if s.finish is None]
            if active:
                scores, finite = runner.step(active)

    @cached_property
    def _what_is_wrong(self) -> str:
        """Why scores are not finite: weights that are not (all are read), or numbers that overflow."""
        dtype = str(self.model.decoder.norm.weight.dtype).removeprefix("torch.")
        told = f"{self.name}: the scores of the next token are not finite in {dtype}"
        if found := first_not_finite(self.model):
            return f"{told}: {found} is not finite; fetch the weights again, or save them from a sound step"
        wider = "bfloat16 or float32" if dtype == "float16" else "float32"
        return f"{told}, though every weight is: numbers grow too large on the way; try dtype {wider}"

    def _sequences(
        self, prompts: Seq[Encoded], samplings: Seq[Sampling], increments: Seq[float]
    ) -> list[Sequence]:
        sequences = []
        for page, (prompt, sampling, increment) in enumerate(
            zip(prompts, samplings, increments, strict=True)
        ):
            if not len(prompt.ids):
                raise ValueError(f"prompts[{page}].ids is empty: encode a conversation with generate=True")
            wanted, config = sampling.max_new_tokens, self.model.config
            positions, _ = place_prompt(f"prompts[{page}]", prompt.ids, increment, wanted, config)
            sequences.append(Sequence(prompt, positions, sampling, self.tokenizer, page))
        return sequences

    @staticmethod
    def _one_each(name: str, given: T | Seq[T], prompts: Seq[Encoded]) -> Seq[T]:
        if not isinstance(given, list | tuple):
            return [cast(T, given)] * len(prompts)
        if len(given) != len(prompts):
            raise ValueError(
                f"{name} has {len(given)} entries for {len(prompts)} prompts: give one or one each"
            )
        return given
