"""One request on its way: its prompt, what it has said so far, and where its cache lies."""

from array import array
from hashlib import blake2b

import torch

from tessera.chat.encoder import Encoded
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import NO_SLOTS, LinkSlots
from tessera.engine.completion import Completion, Finish, TokenLogprob
from tessera.engine.core.ticket import Event, Ticket
from tessera.engine.links.watch import LinkWatch
from tessera.engine.resolution.tiles import TileTokens
from tessera.engine.sampling.chooser import Chooser, Chosen
from tessera.engine.sampling.drafts import Drafts
from tessera.engine.sounds.places import SoundPlaces
from tessera.engine.stream import TextStream
from tessera.models.config import DecoderConfig, ModelConfig

MOST_GUESSES = 16
"""Of one sequence in one step."""


class Sequence:
    """State of a request between steps.

    prompt: ids int32 [T], of which placeholders of `tokens_per_tile` belong to each tile. positions: float32
    [T]. chooser: how its tokens are chosen. owner: whose request it is; owners are served in turn. slots:
    what stands behind link tokens. Raises ValueError when placeholders and tiles don't agree.
    """

    def __init__(
        self,
        prompt: Encoded,
        positions: torch.Tensor,
        chooser: Chooser,
        tokenizer: Tokenizer,
        config: ModelConfig,
        stop_ids: frozenset[int],
        owner: str = "",
        slots: LinkSlots = NO_SLOTS,
    ) -> None:
        self.prompt, self.chooser, self.owner = prompt, chooser, owner
        self.sampling = sampling = chooser.sampling
        self.ids: list[int] = prompt.ids.tolist()
        self.positions: list[float] = positions.tolist()
        """One for each of `ids`: those given for the prompt, then on in steps of 1."""
        self.finish: Finish | None = None
        self.fault = ""
        self.links = LinkWatch(slots)
        self.ending: Finish | None = None
        """How it finishes once the states of its last link are there."""
        self.ticket: Ticket
        """Set when the request is taken in."""
        self.number = self.served = 0
        """Its place in the order of arrival; the last step in which its prompt went on."""
        self.table: list[int] = []
        """Its blocks, in order."""
        self.computed = 0
        """So many of `ids` are in the cache."""
        self.found = 0
        """So many of the prompt's tokens were there already, computed for others."""
        self.features: dict[int, torch.Tensor] = {}
        """Features [tokens, D] of tiles that were seen and are not yet through."""
        self._decoder: DecoderConfig = config.decoder
        self.tiles = TileTokens(prompt, config)
        self._digests: list[bytes] = []
        self.sounds = SoundPlaces(prompt, config.hearing)
        self.drafts = Drafts(self.ids, {*config.placeholder_ids, *slots.table}, MOST_GUESSES)
        self._stop_ids = sampling.ending(stop_ids)
        self._stream = TextStream(tokenizer, sampling.stop, sampling.begun, sampling.strip)
        self._logprobs: list[TokenLogprob] = []
        self._said = 0
        self._reach = self._reach_of_all()

    @property
    def room(self) -> int:
        """Most tokens that the cache will have to hold."""
        return len(self.prompt.ids) + self.sampling.max_new_tokens

    @property
    def remaining(self) -> int:
        """Tokens that are not in the cache: one between steps of an answer, more behind a link token."""
        return len(self.ids) - self.computed

    @property
    def shareable(self) -> int:
        """So many of `ids` may come from what others computed: not the last, nor slots that are due."""
        return len(self.ids) - 1 if self.links.next is None else self.links.next

    def take(self, choice: Chosen) -> Event:
        """Add a token, or finish."""
        if choice.fault:
            return self.end("failed", choice.fault)
        if choice.token in self._stop_ids:
            self.finish = "stop"
            return self._event(self._stream.flush())
        self.ids.append(choice.token)
        self.positions.append(self.positions[-1] + 1)
        self._said += 1
        self.chooser.take(choice.token)
        told = () if choice.logprob is None else (choice.logprob,)
        self._logprobs += told
        piece = self._stream.push(choice.token)
        slots = range(0) if self._stream.stopped else self.links.opens(choice.token)
        behind = len(self.ids) + len(slots)
        linked = bool(slots) and behind <= self.room
        if linked:
            self._open_link(choice.token, slots)
        ended = self.chooser.finish or ("length" if behind >= self.room else None)
        if self._stream.stopped:
            self.finish = "stop"
        elif linked:
            self.ending = ended
        elif ended:
            self.finish = ended
            piece += self._stream.flush()
        return self._event(piece, (choice.token,), told)

    def _open_link(self, token: int, slots: range) -> None:
        """Put the slots of a link token, which is the newest one, behind it."""
        self.links.begin(token, self._said - 1, len(self.ids))
        self.ids += slots
        self.positions += [self.positions[-1] + number for number in range(1, len(slots) + 1)]

    def end_behind_link(self) -> Event:
        """The states of its last link are there, and nothing may follow."""
        self.finish = self.ending
        return self._event(self._stream.flush())

    def end(self, finish: Finish, fault: str = "") -> Event:
        """Finish for another reason than its tokens; what was certain stays said."""
        self.finish, self.fault = finish, fault
        return self._event("")

    def completion(self) -> Completion:
        """The finished answer."""
        if self.finish is None:
            raise ValueError("finish = None: this sequence is still being generated")
        asked = len(self.prompt.ids)
        said, links = tuple(self.links.tokens_of(self.ids[asked:])), tuple(self.links.all)
        logprobs = tuple(self._logprobs)
        return Completion(self._stream.text, said, self.finish, asked, self.fault, logprobs, links)

    def reuse(self, count: int) -> None:
        """So many more tokens were in the cache; those it finds once it answers may be its own."""
        self.computed += count
        self.found += count if len(self.ids) == len(self.prompt.ids) else 0

    def restart(self) -> None:
        """Nothing of it is in the cache any more."""
        self.table, self.computed, self.features, self.sounds.features = [], 0, {}, {}
        if len(self.ids) == len(self.prompt.ids):
            self.found = 0
        if (reach := self._reach_of_all()) != self._reach:
            self._reach, self._digests = reach, []

    @property
    def outgrown(self) -> bool:
        """Whether the newest token takes the sequence over the border between short and long angles.

        Keys in the cache are then turned by the wrong ones; the whole goes through the model again, as Phi-3
        does in transformers. Dynamic NTK, whose angles change with every token beyond the trained length,
        keeps the keys as they are.
        """
        return self._kind == "longrope" and self._reach != self._reach_of_all()

    def guess(self, most: int) -> tuple[int, ...]:
        """What may follow, at most so many tokens, and none beyond the border between two kinds of angles."""
        if self._kind == "longrope" and not self._reach:
            most = min(most, int(self._decoder.trained_length - self.positions[-1] - 1))
        return self.drafts.guess(max(0, most))

    def reaches(self, start: int, stop: int, guesses: int = 0) -> list[float]:
        """How far each token's sequence reached when it was written, for angles that depend on it.

        A prompt counts as a whole, in however many pieces it comes, and a token of the answer, or a guess at
        one, as the last. 0: within the trained length.
        """
        if self._kind == "longrope":
            return [self._reach] * (stop - start + guesses)
        asked, last = len(self.prompt.ids), self.positions[-1]
        found = [self._reach if t < asked else self.positions[t] + 1 for t in range(start, stop)]
        found += [last + number + 1 for number in range(1, guesses + 1)]
        return [reach if reach > self._decoder.trained_length else 0.0 for reach in found]

    @property
    def needs_reach(self) -> bool:
        """Whether its angles depend on how far it reaches."""
        return self._kind in ("longrope", "dynamic")

    def digest(self, index: int, size: int) -> bytes:
        """Of block `index`, which is full: all that its keys and values depend on, the past included."""
        while len(self._digests) <= index:
            start = len(self._digests) * size
            stop = start + size
            content = blake2b(self._digests[-1] if self._digests else b"", digest_size=32)
            content.update(array("q", self.ids[start:stop]))
            content.update(array("d", self.positions[start:stop]))
            if self.needs_reach:
                content.update(array("d", self.reaches(start, stop)))
            if seen := self.tiles.of(start, stop):
                within = self.tiles.visual_of(start, stop)[0] - self.tiles.before(seen[0])
                content.update(within.to_bytes(8, "little"))
                content.update(b"".join(self.tiles.digests[tile] for tile in seen))
            if self.sounds.digests:
                content.update(self.sounds.content(start, stop))
            self._digests.append(content.digest())
        return self._digests[index]

    @property
    def _kind(self) -> str:
        scaling = self._decoder.rope_scaling
        return "" if scaling is None else scaling.kind

    def _reach_of_all(self) -> float:
        """longrope: a number beyond the trained length if the sequence is; dynamic: where the prompt ends."""
        if self._kind == "longrope":
            trained = self._decoder.trained_length
            return trained + 1.0 if self.positions[-1] + 1 > trained else 0.0
        return self.positions[len(self.prompt.ids) - 1] + 1

    def _event(self, piece: str, ids: tuple[int, ...] = (), logprobs: tuple[TokenLogprob, ...] = ()) -> Event:
        found = self.found if self.finish else 0
        return Event(piece, ids, logprobs, self.finish, self.fault, found, self.links.due())
