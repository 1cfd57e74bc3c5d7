"""Generation for many prompts at once: requests join and leave at any step, each as if it were alone."""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Self, TypeVar, cast

import torch

from tessera.chat.encoder import Encoded
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import NO_SLOTS, LinkSlots
from tessera.checkpoints.load import Loaded
from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.loop import Loop
from tessera.engine.core.sequence import Sequence
from tessera.engine.core.ticket import Event, Ticket
from tessera.engine.request import place_prompt
from tessera.engine.sampling.chooser import Choosers
from tessera.engine.sampling.options import Sampling
from tessera.models.vlm import VLM
from tessera.runtime.progress import Progress, silent

T = TypeVar("T")
IN_LINE = 4
"""Requests of a batch that wait beside those that run, so that no place stays empty."""


@dataclass(frozen=True, eq=False)
class Engine:
    """Answers prompts with one model. `stop_ids` end an answer (`Encoder.stop_ids`).

    At most `max_batch` requests run at a time. What prompts have in common is computed once, as long as the
    cache has room for it; weights that were changed in place are noticed. Several threads may call.
    """

    model: VLM
    tokenizer: Tokenizer
    stop_ids: frozenset[int]
    max_batch: int = 64
    name: str = "the model"
    visual_increment: float = 1.0
    """Where a call gives none."""
    limits: EngineLimits = EngineLimits()
    slots: LinkSlots = NO_SLOTS
    """What stands behind the link tokens of answers."""
    loop: Loop = field(init=False, repr=False)
    choosers: Choosers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise ValueError(f"max_batch = {self.max_batch}: give at least 1")
        loop = Loop(self.model, self.tokenizer.vocab_size, self.max_batch, self.limits, self.name)
        object.__setattr__(self, "loop", loop)
        object.__setattr__(self, "choosers", Choosers(self.tokenizer, self.stop_ids))

    @classmethod
    def of(cls, loaded: Loaded, max_batch: int = 64, limits: EngineLimits | None = None) -> Self:
        """The engine for an opened checkpoint."""
        family = loaded.family
        return cls(
            loaded.model,
            loaded.tokenizer,
            loaded.stop_ids,
            max_batch,
            family.name,
            family.visual_increment,
            limits or EngineLimits(),
            loaded.encoder.slots,
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
        samplings = _one_each("sampling", sampling or Sampling(), prompts)
        increment = self.visual_increment if visual_increment is None else visual_increment
        increments = _one_each("visual_increment", increment, prompts)
        asked = list(zip(prompts, samplings, increments, strict=True))
        for place, (prompt, each, step) in enumerate(asked):
            self._placed(prompt, each, step, f"prompts[{place}]")
        completions: dict[int, Completion] = {}
        for place, completion in self.answers(self.sequence(*each) for each in asked):
            completions[place] = completion
            progress("answers", len(completions), len(prompts))
        return [completions[place] for place in range(len(prompts))]

    def answers(self, sequences: Iterable[Sequence]) -> Iterator[tuple[int, Completion]]:
        """Place and answer of each request, as they are finished.

        Requests are taken from the iterable as others finish, so that few more are held than run at a time.
        """
        flying: dict[int, Ticket] = {}
        try:
            for place, sequence in enumerate(sequences):
                flying[place] = self.loop.submit(sequence)
                if len(flying) == self.max_batch + IN_LINE:
                    yield from self._landed(flying)
            while flying:
                yield from self._landed(flying)
        finally:
            self._give_up(flying.values())

    def stream(
        self, prompt: Encoded, sampling: Sampling | None = None, visual_increment: float | None = None
    ) -> Iterator[str]:
        """The answer to one prompt in pieces, as soon as they are certain; joined they are its text.

        Raises ValueError as soon as its scores are not finite.
        """
        for event in self.events(prompt, sampling, visual_increment):
            if event.fault:
                raise ValueError(event.fault)
            if event.piece:
                yield event.piece

    def events(
        self, prompt: Encoded, sampling: Sampling | None = None, visual_increment: float | None = None
    ) -> Iterator[Event]:
        """The answer to one prompt, one event a step."""
        ticket = self.loop.submit(self.sequence(prompt, sampling or Sampling(), visual_increment))
        try:
            yield from ticket
        finally:
            self._give_up([ticket])

    def sequence(
        self, prompt: Encoded, sampling: Sampling, visual_increment: float | None = None, owner: str = ""
    ) -> Sequence:
        """A request for the loop. Raises ValueError as `generate` does."""
        increment = self.visual_increment if visual_increment is None else visual_increment
        positions = self._placed(prompt, sampling, increment, "the prompt")
        config = self.model.config
        asked = [number for number in prompt.ids.tolist() if not self.slots.holds(number)]
        chooser = self.choosers.chooser(sampling, asked)
        return Sequence(prompt, positions, chooser, self.tokenizer, config, self.stop_ids, owner, self.slots)

    def _placed(self, prompt: Encoded, sampling: Sampling, increment: float, where: str) -> torch.Tensor:
        """Positions float32 [T] of a prompt."""
        if not len(prompt.ids):
            raise ValueError(f"{where}.ids is empty: encode a conversation with generate=True")
        wanted = sampling.max_new_tokens
        return place_prompt(where, prompt.ids, increment, wanted, self.model.config)[0]

    def _landed(self, flying: dict[int, Ticket]) -> Iterator[tuple[int, Completion]]:
        """Those that are finished, at least one; they leave `flying`."""
        self.loop.until(lambda: any(ticket.over for ticket in flying.values()))
        for place in [place for place, ticket in flying.items() if ticket.over]:
            yield place, flying.pop(place).completion()

    def _give_up(self, tickets: Iterable[Ticket]) -> None:
        """Nobody waits for these any more."""
        for ticket in tickets:
            ticket.cancel()
        self.loop.sweep()


def _one_each(name: str, given: T | Seq[T], prompts: Seq[Encoded]) -> Seq[T]:
    if not isinstance(given, list | tuple):
        return [cast(T, given)] * len(prompts)
    if len(given) != len(prompts):
        raise ValueError(f"{name} has {len(given)} entries for {len(prompts)} prompts: give one or one each")
    return given
