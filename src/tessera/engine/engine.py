"""Generation for many prompts at once: finished sequences leave, the others go on.

First version: the prompts of a batch start together; a batch is at most `max_batch` prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Seq
from typing import Self

from tessera.chat.encoder import Encoded
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded
from tessera.engine.request import Completion, Sampling
from tessera.engine.runner import Runner
from tessera.engine.sampler import choose_all
from tessera.engine.sequence import Sequence
from tessera.models.vlm import VLM

__all__ = ["Completion", "Engine", "Progress", "Sampling"]

Progress = Callable[[int, int], None]
"""Called with prompts answered and prompts in all."""


class Engine:
    """Answers prompts with one model. `stop_ids` end an answer (`Encoder.stop_ids`)."""

    def __init__(
        self, model: VLM, tokenizer: Tokenizer, stop_ids: frozenset[int], max_batch: int = 64
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch = {max_batch}: give at least 1")
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = stop_ids
        self.max_batch = max_batch

    @classmethod
    def of(cls, loaded: Loaded, max_batch: int = 64) -> Self:
        """The engine for an opened checkpoint."""
        return cls(loaded.model, loaded.tokenizer, loaded.stop_ids, max_batch)

    def generate(
        self,
        prompts: Seq[Encoded],
        sampling: Sampling | Seq[Sampling] | None = None,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """Answers in the order of the prompts; `sampling` is one for all or one each (None: greedy).

        An answer depends on its prompt and its sampling alone: the same in any batch. Raises ValueError for
        an empty prompt, or one that leaves too little room for its answer.
        """
        samplings = self._samplings(prompts, sampling)
        completions: list[Completion] = []
        for start in range(0, len(prompts), self.max_batch):
            chunk = slice(start, start + self.max_batch)
            sequences = self._sequences(prompts[chunk], samplings[chunk])
            for _ in self._run(sequences):
                pass
            completions += [sequence.completion() for sequence in sequences]
            if progress is not None:
                progress(len(completions), len(prompts))
        return completions

    def stream(self, prompt: Encoded, sampling: Sampling | None = None) -> Iterator[str]:
        """The answer to one prompt in pieces, as soon as they are certain; joined they are its text."""
        sequences = self._sequences([prompt], [sampling or Sampling()])
        for _, piece in self._run(sequences):
            if piece:
                yield piece

    def _run(self, sequences: list[Sequence]) -> Iterator[tuple[Sequence, str]]:
        """Every new token of every sequence, as the sequence and the text that it makes certain."""
        runner = Runner(self.model, sequences, self.tokenizer.vocab_size)
        active, scores = sequences, runner.prefill(sequences)
        while active:
            tokens = choose_all(
                scores,
                [s.sampling for s in active],
                [s.ids for s in active],
                [s.generator for s in active],
            )
            for sequence, token in zip(active, tokens, strict=True):
                yield sequence, sequence.take(token, self.stop_ids)
            active = [s for s in active if s.finish is None]
            if active:
                scores = runner.step(active)

    def _sequences(self, prompts: Seq[Encoded], samplings: Seq[Sampling]) -> list[Sequence]:
        pairs = zip(prompts, samplings, strict=True)
        sequences = [Sequence(p, s, self.tokenizer, page) for page, (p, s) in enumerate(pairs)]
        longest = self.model.config.decoder.max_position_embeddings
        for index, sequence in enumerate(sequences):
            if not sequence.prompt_tokens:
                raise ValueError(f"prompts[{index}].ids is empty: encode a conversation with generate=True")
            if sequence.room > longest:
                raise ValueError(
                    f"prompts[{index}] has {sequence.prompt_tokens} tokens and max_new_tokens is "
                    f"{sequence.sampling.max_new_tokens}, but the model was made for {longest} positions: "
                    "ask for fewer tokens, or give fewer tiles or shorter text"
                )
        return sequences

    def _samplings(self, prompts: Seq[Encoded], sampling: Sampling | Seq[Sampling] | None) -> Seq[Sampling]:
        if sampling is None or isinstance(sampling, Sampling):
            return [sampling or Sampling()] * len(prompts)
        if len(sampling) != len(prompts):
            raise ValueError(
                f"sampling has {len(sampling)} entries for {len(prompts)} prompts: give one or one each"
            )
        return sampling
