"""One request's side of the choice: what it asks for, its random stream, and where its answer stands."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.engine.completion import Finish, TokenLogprob
from tessera.engine.sampling.constraints import Grammars, Guide
from tessera.engine.sampling.loops import LoopWatch
from tessera.engine.sampling.options import Sampling
from tessera.engine.sampling.penalties import Penalties
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class Chosen:
    """A chosen token; how likely it was, where the request asks for that; `fault`: why none can be chosen."""

    token: int
    logprob: TokenLogprob | None = None
    fault: str = ""


class Chooser:
    """How one request's tokens are chosen: what it asks for, its random stream, and what it has said.

    prompt: ids of the prompt. vocabulary: number of tokens. guide: where the answer stands in its grammar.
    ends: tokens that end the answer.
    Raises ValueError for a token that is none.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        vocabulary: int,
        guide: Guide | None = None,
        ends: Collection[int] = (),
    ) -> None:
        for name, ids in (
            ("logit_bias", [token for token, _ in sampling.logit_bias]),
            ("stop_token_ids", sampling.stop_token_ids),
        ):
            if odd := [token for token in ids if not 0 <= token < vocabulary]:
                raise ValueError(f"{name} names token {shown(odd[0])}: give ids from 0 to {vocabulary - 1}")
        self.sampling, self.guide = sampling, guide
        self.penalties = Penalties(sampling, prompt, ends)
        self._watch = LoopWatch(sampling.end_loops) if sampling.end_loops else None
        self._generator = torch.Generator().manual_seed(sampling.seed)  # on the CPU on every machine

    def point(self) -> float:
        """The next number of the random stream, from 0 up to 1."""
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))

    def take(self, token: int) -> None:
        """The answer goes on with this token."""
        self.penalties.take(token)
        if self.guide:
            self.guide.take(token)
        if self._watch:
            self._watch.take(token)

    @property
    def finish(self) -> Finish | None:
        """Why nothing may follow: the answer is whole by its grammar, or repeats itself."""
        if self.guide is not None and self.guide.over:
            return "stop"
        return "repetition" if self._watch is not None and self._watch.looping else None


class Choosers:
    """Makes the choosers of one engine's requests. `stop_ids`: the model's own tokens of ending."""

    def __init__(self, tokenizer: Tokenizer, stop_ids: frozenset[int]) -> None:
        self._vocabulary, self._stop_ids = tokenizer.vocab_size, stop_ids
        self._grammars = Grammars(tokenizer, stop_ids)

    def chooser(self, sampling: Sampling, prompt: Sequence[int]) -> Chooser:
        """The chooser of one request; `prompt` are its ids.

        Raises ValueError for tokens that are none and for a grammar that cannot be followed. The first
        grammar of an engine takes a second or two.
        """
        grammar = sampling.grammar
        guide = None if grammar is None else self._grammars.guide(grammar, sampling.begun)
        return Chooser(sampling, prompt, self._vocabulary, guide, sampling.ending(self._stop_ids))
