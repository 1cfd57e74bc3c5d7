"""Who takes part in the next step, and with how many tokens.

Every sequence that is answering gets its next token in every step. What is left of the step's budget of
tokens and of tiles goes to prompts, in pieces, shared evenly: a short chat is through in its first step
beside a prompt of forty tiles, and that one moves on in every step however many short chats come.

A sequence gets blocks for all of its tokens when it is admitted, and one more at a time as its answer grows.
Where none is left, the one that arrived last gives up its own and waits for another turn, at the head of the
line. The oldest is never sent away, so there is always one that gets through.
"""

from collections import deque
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from itertools import takewhile

from tessera.engine.core.blocks import Blocks
from tessera.engine.core.pictures import PictureCache
from tessera.engine.core.sequence import Sequence


@dataclass(frozen=True)
class Advance:
    """A sequence in a step: its tokens up to `stop` go through the model behind those in the cache.

    `guesses`: what may follow them, and goes through the model with them.
    """

    sequence: Sequence
    stop: int
    guesses: tuple[int, ...] = ()

    @property
    def ids(self) -> list[int]:
        """Tokens that go through the model."""
        return [*self.sequence.ids[self.sequence.computed : self.stop], *self.guesses]

    @property
    def positions(self) -> list[float]:
        """One for each of `ids`."""
        own, last = self.sequence.positions, self.sequence.positions[-1]
        guessed = (last + number for number in range(1, len(self.guesses) + 1))
        return [*own[self.sequence.computed : self.stop], *guessed]

    @property
    def reaches(self) -> list[float]:
        """One for each of `ids` (`Sequence.reaches`)."""
        return self.sequence.reaches(self.sequence.computed, self.stop, len(self.guesses))

    @property
    def wanted(self) -> range:
        """Places among its tokens whose last states are wanted."""
        return self.sequence.links.wants(self.sequence.computed, self.stop)

    @property
    def answers(self) -> bool:
        """Whether scores behind its last token are wanted."""
        return self.stop == len(self.sequence.ids)


class Scheduler:
    """Sequences that wait and sequences that run, at most `most_running` of these.

    tokens, tiles: of a step, for prompts; at least one block, or one tile, goes on in any case. guesses: of a
    step, for all answers together.
    """

    def __init__(
        self,
        blocks: Blocks,
        pictures: PictureCache,
        most_running: int,
        tokens: int,
        tiles: int,
        guesses: int = 0,
    ) -> None:
        self.blocks, self.pictures = blocks, pictures
        self.most_running, self.tokens, self.tiles = most_running, max(tokens, blocks.size), max(tiles, 1)
        self.guesses = guesses
        self.running: list[Sequence] = []
        self.preemptions = self.steps = self.reused_tokens = self.guessed_tokens = self.right_tokens = 0
        self._sent_away: list[Sequence] = []
        """Preempted, oldest first: the head of the line."""
        self._lines: dict[str, deque[Sequence]] = {}
        """Owner -> those who wait; the owner whose turn it is first."""
        self._arrivals = 0

    @property
    def waiting(self) -> int:
        """Sequences that are not admitted. Other threads may ask while a step changes the lines."""
        return len(self._sent_away) + sum(map(len, list(self._lines.values())))

    @property
    def everyone(self) -> list[Sequence]:
        """All that run or wait."""
        return [*self.running, *self._sent_away, *(each for line in self._lines.values() for each in line)]

    def add(self, sequence: Sequence) -> None:
        """One more at the end of its owner's line."""
        self._arrivals += 1
        sequence.number = self._arrivals
        self._lines.setdefault(sequence.owner, deque()).append(sequence)

    def remove(self, sequence: Sequence, forget: bool = False) -> None:
        """A sequence is over; `forget`: nobody shall go on from what it computed."""
        self.blocks.release(sequence.table, forget)
        sequence.table, sequence.features, sequence.sounds.features = [], {}, {}
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self._sent_away:
            self._sent_away.remove(sequence)
        else:
            self._lines[sequence.owner].remove(sequence)
            if not self._lines[sequence.owner]:
                del self._lines[sequence.owner]

    def plan(self) -> list[Advance]:
        """The next step; empty only when nobody is left. Room for all of its tokens is taken."""
        self.steps += 1
        for sequence in [each for each in self.running if each.outgrown]:
            self._send_away(sequence)
        for sequence in sorted(self.running, key=_age):
            self._grow(sequence)
        self._admit()
        answering = self._guess([each for each in self.running if each.remaining == 1])
        prompts = [each for each in self.running if each.remaining > 1]
        return answering + self._divide(prompts, self.tokens - len(answering))

    def done(self, advance: Advance) -> None:
        """It went through the model, and its token is taken: its full blocks may be shared."""
        sequence, size = advance.sequence, self.blocks.size
        told = zip(advance.guesses, sequence.ids[advance.stop :], strict=False)
        right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], told))
        sequence.drafts.told(len(advance.guesses), right)
        self.guessed_tokens += len(advance.guesses)
        self.right_tokens += right
        stop = advance.stop + right
        full = range(sequence.computed // size, stop // size)
        sequence.computed = stop
        for index in full:
            self.blocks.keep(sequence.table[index], sequence.digest(index, size))
        ahead = sequence.tiles.of(advance.stop, len(sequence.ids))
        sequence.features = {tile: seen for tile, seen in sequence.features.items() if tile in ahead}
        sequence.sounds.forget(advance.stop)

    def _guess(self, answering: list[Sequence]) -> list[Advance]:
        """Those that are answering, with guesses as far as the budget and blocks that nobody misses go."""
        left, advances = self.guesses, []
        for sequence in answering:
            stop, table, guesses = len(sequence.ids), sequence.table, tuple[int, ...]()
            if left:
                spare = max(0, self.blocks.free - len(self.running)) * self.blocks.size
                room = min(sequence.room - 1, len(table) * self.blocks.size + spare) - stop
                guesses = sequence.guess(min(left, room))
            missing = self.blocks.needed(stop + len(guesses)) - len(table)
            if missing > 0:
                table += self.blocks.take(missing, table[-1])
            left -= len(guesses)
            advances.append(Advance(sequence, stop, guesses))
        return advances

    def _grow(self, sequence: Sequence) -> None:
        """Room for the newest tokens; who arrived last makes it, perhaps the sequence itself."""
        missing = self.blocks.needed(len(sequence.ids)) - len(sequence.table)
        if sequence not in self.running or missing <= 0:
            return
        while self.blocks.free < missing:
            youngest = max(self.running, key=_age)
            self._send_away(youngest)
            self.preemptions += 1
            if youngest is sequence:
                return
        sequence.table += self.blocks.take(missing, sequence.table[-1])

    def _send_away(self, sequence: Sequence) -> None:
        self.blocks.release(sequence.table)
        sequence.restart()
        self._sent_away = sorted([*self._sent_away, sequence], key=_age)
        self.running.remove(sequence)

    def _admit(self) -> None:
        """From the line, while there is room; nobody overtakes one for whom there is none."""
        while self.waiting and len(self.running) < self.most_running:
            owner = None if self._sent_away else next(iter(self._lines))
            line = self._sent_away if owner is None else self._lines[owner]
            if not self._find_room(line[0]):
                return
            line[0].served = self.steps
            self.running.append(line[0])  # first, so that it is always somewhere
            del line[0]
            if owner is not None and (rest := self._lines.pop(owner)):
                self._lines[owner] = rest

    def _find_room(self, sequence: Sequence) -> bool:
        """Blocks for all tokens of a sequence, shared as far as others have computed them.

        One block a running sequence is left, so that the next steps don't send it away again.
        """
        self._reuse(sequence)
        table = sequence.table
        needed = self.blocks.needed(len(sequence.ids)) - len(table)
        if needed + len(self.running) > self.blocks.free and (self.running or needed > self.blocks.free):
            self.reused_tokens -= sequence.computed
            self.blocks.release(table)
            sequence.restart()
            return False
        table += self.blocks.take(needed, table[-1] if table else None)
        return True

    def _reuse(self, sequence: Sequence) -> None:
        """Take computed blocks for the next tokens; the last token is left, for its scores are wanted, and so
        are tokens whose states are."""
        size, table = self.blocks.size, sequence.table
        while sequence.computed % size == 0 and sequence.shareable - sequence.computed >= size:
            index = sequence.computed // size
            found = self.blocks.share(sequence.digest(index, size))
            if found is None:
                return
            self.blocks.release(table[index : index + 1])
            table[index : index + 1] = [found]
            sequence.reuse(size)
            self.reused_tokens += size

    def _divide(self, prompts: list[Sequence], tokens: int) -> list[Advance]:
        """The budget over the prompts that are not through, those first that waited longest."""
        size = self.blocks.size
        claimed = {self._next(each) for each in prompts if each.computed % size}
        going: list[Sequence] = []
        for sequence in sorted(prompts, key=lambda each: (each.served, each.number)):
            self._reuse(sequence)
            first = self._next(sequence)
            # Else another computes the same in this step, to be shared in the next.
            if sequence.computed % size or not first or first not in claimed:
                claimed.add(first)
                going.append(sequence)
        advances = []
        wanted = [each.remaining for each in going]
        seeing = [min(each, self.tiles) for each in map(self._unseen, going)]
        shares = zip(
            going, even_shares(tokens, wanted, size), even_shares(self.tiles, seeing, 1), strict=True
        )
        for sequence, count, tiles in shares:
            stop = self._cut(sequence, sequence.computed + count, tiles)
            if stop > sequence.computed:
                sequence.served = self.steps
                advances.append(Advance(sequence, stop))
        return advances

    def _next(self, sequence: Sequence) -> bytes:
        """The digest of the block that a prompt comes to next, or is in; b"" for its last one."""
        index, size = sequence.computed // self.blocks.size, self.blocks.size
        return sequence.digest(index, size) if (index + 1) * size <= sequence.shareable else b""

    def _unseen(self, sequence: Sequence) -> int:
        """Tiles that a prompt still needs from the ViT."""
        return sum(not self._seen(sequence, tile) for tile in self._tiles(sequence, len(sequence.ids)))

    def _seen(self, sequence: Sequence, tile: int) -> bool:
        return tile in sequence.features or sequence.tiles.digests[tile] in self.pictures

    def _tiles(self, sequence: Sequence, stop: int) -> range:
        return sequence.tiles.of(sequence.computed, stop)

    def _cut(self, sequence: Sequence, stop: int, tiles: int) -> int:
        """Where the piece up to `stop` ends: before the first tile beyond its share, at a block's edge."""
        for tile in self._tiles(sequence, stop):
            if self._seen(sequence, tile):
                continue
            if not tiles:
                stop = max(sequence.tiles.start_of(tile), sequence.computed)
                break
            tiles -= 1
        if stop == len(sequence.ids):
            return stop
        edge = stop - stop % self.blocks.size
        return edge if edge > sequence.computed else stop


def even_shares(budget: int, wanted: Seq[int], least: int) -> list[int]:
    """As much for each as for any other, up to what it wants: at most `budget`, or `least` for the first.

    Where the budget does not reach for `least` for everybody, those who come first get it.

    >>> even_shares(10, [2, 9, 9], 1), even_shares(2, [3, 3, 3], 1)
    ([2, 4, 4], [1, 1, 0])
    """
    hungry = [index for index, want in enumerate(wanted) if want][: max(1, budget // least)]
    shares, left = [0] * len(wanted), max(budget, least)
    for rank, index in enumerate(sorted(hungry, key=wanted.__getitem__)):
        shares[index] = min(wanted[index], left // (len(hungry) - rank))
        left -= shares[index]
    return shares


def _age(sequence: Sequence) -> int:
    return sequence.number
