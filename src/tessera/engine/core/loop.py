"""The loop: every `step` moves all requests on by one flat step of the model. It has no thread of its own.

Whoever wants an answer steps (`wait`), or a `Service` does. Requests and cancellations may come from any
thread at any time and count from the next step on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from tessera.checkpoints.weights import first_not_finite
from tessera.engine.completion import Finish
from tessera.engine.core.answering import take_rows
from tessera.engine.core.blocks import Blocks
from tessera.engine.core.graphs import DecodeGraphs
from tessera.engine.core.limits import EngineLimits, count_blocks
from tessera.engine.core.pictures import PictureCache
from tessera.engine.core.runner import Runner
from tessera.engine.core.scheduler import Advance, Scheduler
from tessera.engine.core.sequence import Sequence
from tessera.engine.core.ticket import Event, Ticket
from tessera.engine.core.waking import Bell
from tessera.models.vlm import VLM

INTERRUPTED = "the step in which it took part did not end: ask again"


@dataclass(frozen=True)
class EngineStats:
    """What the engine holds now and has done so far."""

    running: int = 0
    waiting: int = 0
    blocks_used: int = 0
    blocks_free: int = 0
    picture_bytes: int = 0
    picture_hits: int = 0
    picture_misses: int = 0
    """Tiles and sounds whose features were there, and those that went through an encoder."""
    computed_tokens: int = 0
    reused_tokens: int = 0
    """Tokens that went through the decoder, and those whose keys and values were there."""
    answer_tokens: int = 0
    preemptions: int = 0
    steps: int = 0
    guessed_tokens: int = 0
    right_tokens: int = 0
    """Tokens that were guessed, and those of them that came true."""


class Loop:
    """Sequences of one model. `name`: what messages call it."""

    def __init__(
        self, model: VLM, vocabulary: int, most_running: int, limits: EngineLimits, name: str
    ) -> None:
        self.model, self.name, self.limits = model, name, limits
        self.runner: Runner | None = None
        self._stamp = 0
        self.driven = False
        """Whether a thread steps, so that others need only wait."""
        self.work = threading.Event()
        """Set when there is something to do."""
        self._vocabulary, self._most_running = vocabulary, most_running
        self._stepping, self._bell = threading.Lock(), Bell()
        self._arrived: deque[Sequence] = deque()
        self._computed_tokens = self._answer_tokens = 0
        if limits.record_steps and (why := DecodeGraphs.obstacle(model)):
            raise ValueError(f"record_steps = True: {why}; leave it off")
        self.blocks = count_blocks(model, limits, most_running)
        self._begin()

    def _begin(self) -> None:
        """An empty line, and nothing known of what the cache holds."""
        size, device = self.limits.block_size, self.model.decoder.norm.weight.device.type
        limits = self.limits
        budget = limits.tokens(device), limits.tiles(device), limits.guesses
        pictures = PictureCache(self.limits.picture_bytes)
        self.scheduler = Scheduler(Blocks(self.blocks, size), pictures, self._most_running, *budget)

    def submit(self, sequence: Sequence) -> Ticket:
        """Take a request in. Raises ValueError for one that can never fit."""
        blocks = self.scheduler.blocks
        if blocks.needed(sequence.room) > blocks.count:
            raise ValueError(
                f"the prompt has {len(sequence.ids)} tokens and max_new_tokens is "
                f"{sequence.sampling.max_new_tokens}, but the cache holds {blocks.count * blocks.size}: "
                "ask for fewer tokens, give fewer pictures or tiles, or a larger cache (cache_bytes)"
            )
        sequence.ticket = Ticket(self.until, self._bell.due)
        self._arrived.append(sequence)
        self.work.set()
        return sequence.ticket

    def step(self) -> bool:
        """One step for everybody; whether anybody is left. Should it not end, all fail and it begins anew."""
        with self._stepping:
            return self._step()

    def until(self, told: Callable[[], bool]) -> None:
        """For a thread that waits for something: step until it is so, or let the thread that does."""
        while not told():
            if self.driven:
                self._bell.wait(lambda: told() or not self.driven)
            else:
                with self._stepping:
                    if not told():
                        self._step()

    def sweep(self) -> None:
        """Take cancelled requests out now, if nobody is stepping; the next step does in any case."""
        if self._stepping.acquire(blocking=False):
            try:
                self._take_in()
            finally:
                self._stepping.release()
            self._bell.ring()

    def end_all(self, finish: Finish, fault: str = "") -> None:
        """The last event for everybody, now. Line and blocks may be in disorder; they begin anew."""
        with self._stepping:
            self._end_all(finish, fault)
        self._bell.ring()

    @property
    def busy(self) -> bool:
        """Whether any request is left."""
        return bool(self._arrived or self.scheduler.running or self.scheduler.waiting)

    def stats(self) -> EngineStats:
        """Counts as they are between, or during, steps."""
        line, pictures = self.scheduler, self.scheduler.pictures
        return EngineStats(
            len(line.running),
            line.waiting + len(self._arrived),
            line.blocks.count - line.blocks.free,
            line.blocks.free,
            pictures.held_bytes,
            pictures.hits,
            pictures.misses,
            self._computed_tokens,
            line.reused_tokens,
            self._answer_tokens,
            line.preemptions,
            line.steps,
            line.guessed_tokens,
            line.right_tokens,
        )

    def _step(self) -> bool:
        reason = INTERRUPTED
        try:
            self._take_in()
            if advances := self.scheduler.plan():
                self._deliver(advances, self._runner.run(advances, self.scheduler.pictures))
            reason = ""
        except (RuntimeError, ValueError) as error:
            reason = f"the step in which it took part failed: {error}"
            raise
        finally:
            if reason:
                self._end_all("failed", reason)
            self._bell.ring()
        return self.busy

    @property
    def _runner(self) -> Runner:
        """Made when it is needed first, for its cache is large."""
        if self.runner is None:
            size, recorded = self.limits.block_size, self._most_running if self.limits.record_steps else 0
            self.runner = Runner(self.model, self._vocabulary, self.blocks, size, recorded)
        return self.runner

    def _take_in(self) -> None:
        """Those who have come; without those who have gone."""
        if self._arrived and not self.scheduler.everyone:
            self._notice_changes()
        while self._arrived:
            self.scheduler.add(self._arrived[0])
            self._arrived.popleft()
        for sequence in [each for each in self.scheduler.everyone if each.ticket.cancelled]:
            self._tell(sequence, sequence.end("cancelled"))

    def _notice_changes(self) -> None:
        """What was computed with other weights is forgotten."""
        stamp = weights_stamp(self.model)
        if stamp != self._stamp:
            self._stamp, self.runner = stamp, None
            self._begin()

    def _deliver(self, advances: Seq[Advance], scored: tuple[torch.Tensor, torch.Tensor] | None) -> None:
        answering = [advance for advance in advances if advance.answers]
        events = [] if scored is None else take_rows(answering, *scored, lambda: self._what_is_wrong)
        for advance in advances:
            self._computed_tokens += advance.stop + len(advance.guesses) - advance.sequence.computed
            self.scheduler.done(advance)
        for advance, told in zip(answering, events, strict=True):
            self._answer_tokens += len(told)
            for event in told:
                self._tell(advance.sequence, event)

    def _tell(self, sequence: Sequence, event: Event) -> None:
        """Hand an event out; after the last one the sequence is gone."""
        if event.finish is None:
            sequence.ticket.put(event)
            return
        sequence.ticket.put(event, sequence.completion())
        self.scheduler.remove(sequence, forget=sequence.finish == "failed")

    def _end_all(self, finish: Finish, fault: str) -> None:
        left = self.scheduler.everyone
        while self._arrived:
            left.append(self._arrived.popleft())
        self._begin()
        for sequence in left:
            if not sequence.ticket.over:
                event = sequence.end(finish, fault)
                sequence.ticket.put(event, sequence.completion())

    @cached_property
    def _what_is_wrong(self) -> str:
        """Why scores are not finite: weights that are not (all are read), or numbers that overflow."""
        dtype = str(self.model.decoder.norm.weight.dtype).removeprefix("torch.")
        told = f"{self.name}: the scores of the next token are not finite in {dtype}"
        if found := first_not_finite(self.model):
            return f"{told}: {found} is not finite; fetch the weights again, or save them from a sound step"
        wider = "bfloat16 or float32" if dtype == "float16" else "float32"
        return f"{told}, though every weight is: numbers grow too large on the way; try dtype {wider}"


def weights_stamp(model: nn.Module) -> int:
    """A number that changes when a weight is written in place or replaced, except through `.data`."""
    tensors = (*model.parameters(), *model.buffers())
    return hash(tuple((id(x), 0 if x.is_inference() else x._version) for x in tensors))
