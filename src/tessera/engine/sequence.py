"""One request on its way: its prompt, what it has said so far, and where its cache lies."""

import torch

from tessera.chat.encoder import Encoded
from tessera.chat.tokenizer import Tokenizer
from tessera.engine.completion import Completion, Finish, TokenLogprob
from tessera.engine.sampling.choose import Chooser, Chosen
from tessera.engine.sampling.options import Sampling
from tessera.engine.stream import TextStream
from tessera.models.config import DecoderConfig


class Sequence:
    """State of a request between steps."""

    def __init__(
        self, prompt: Encoded, positions: torch.Tensor, sampling: Sampling, tokenizer: Tokenizer, page: int
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.page = page
        self.ids: list[int] = prompt.ids.tolist()
        self.positions: list[float] = positions.tolist()
        """One for each of `ids`: those given for the prompt, then on in steps of 1."""
        self.finish: Finish | None = None
        self.fault = ""
        self.chooser = Chooser(sampling, self.ids, tokenizer.vocab_size)
        self.logprobs: list[TokenLogprob] = []
        self.stream = TextStream(tokenizer, sampling.stop, sampling.begun, sampling.strip)

    @property
    def room(self) -> int:
        """Most tokens that the cache will have to hold."""
        return len(self.prompt.ids) + self.sampling.max_new_tokens

    def outgrows(self, config: DecoderConfig) -> bool:
        """Whether the newest token takes the sequence over the border between short and long angles.

        Keys in the cache are then turned by the wrong ones. Dynamic NTK, whose angles change with every token
        beyond the trained length, keeps the keys as they are.
        """
        scaling = config.rope_scaling
        if scaling is None or scaling.kind != "longrope":
            return False
        return self.positions[-2] + 1 <= config.trained_length < self.positions[-1] + 1

    def take(self, choice: Chosen, stop_ids: frozenset[int]) -> str:
        """Add a token, or finish; returns the text that can be shown now."""
        token = choice.token
        if token in self.sampling.ending(stop_ids):
            self.finish = "stop"
            return self.stream.flush()
        self.chooser.take(token)
        if choice.logprob is not None:
            self.logprobs.append(choice.logprob)
        self.ids.append(token)
        self.positions.append(self.positions[-1] + 1)
        piece = self.stream.push(token)
        if self.stream.stopped:
            self.finish = "stop"
        elif len(self.ids) == self.room:
            self.finish = "length"
            piece += self.stream.flush()
        return piece

    def completion(self) -> Completion:
        """The finished answer."""
        if self.finish is None:
            raise ValueError("finish = None: this sequence is still being generated")
        asked = len(self.prompt.ids)
        ids, logprobs = tuple(self.ids[asked:]), tuple(self.logprobs)
        return Completion(self.stream.text, ids, self.finish, asked, self.fault, logprobs)
