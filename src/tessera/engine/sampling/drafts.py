"""Guesses at the next tokens from what was said before: what followed the last words when they came before.

Prompt lookup (Saxena 2023; in transformers `prompt_lookup_num_tokens`): readings, translations of lists and
edits repeat their prompt or themselves. The model checks all guesses in one pass, which costs little more
than one token where reading the weights is what takes the time
(`benchmarks/results/guessing_1b_zen4-2core_202611.md`). A guess is taken only where the choice would have
been the same, drawn from the same random stream, so answers do not change; scores are those of a pass of
several tokens, which round as they do beside neighbours.
"""

from collections.abc import Collection, Sequence

WORDS = 3
"""Tokens that must agree before what followed them is guessed."""
FIRST, LONGEST_PAUSE = 4, 64


class Drafts:
    """Guesses for one sequence. They grow while they come true, and pause where they don't.

    ids: prompt and answer, read as they grow. never: tokens that are never guessed. most: longest guess.
    """

    def __init__(self, ids: Sequence[int], never: Collection[int], most: int) -> None:
        self._ids, self._never, self._most = ids, never, most
        self._after: dict[tuple[int, ...], int] = {}
        """The last place that follows these tokens."""
        self._read = WORDS
        self._width, self._missed, self._pause = min(FIRST, most), 0, 0

    def guess(self, most: int) -> tuple[int, ...]:
        """What may follow `ids`, at most so many tokens."""
        if self._pause:
            self._pause -= 1
            return ()
        for place in range(self._read, len(self._ids)):
            self._after[tuple(self._ids[place - WORDS : place])] = place
        self._read = max(self._read, len(self._ids))
        known = self._after.get(tuple(self._ids[-WORDS:]))
        if known is None:
            return ()
        found = tuple(self._ids[known : known + min(self._width, most)])
        cut = next((place for place, token in enumerate(found) if token in self._never), len(found))
        return found[:cut]

    def told(self, guessed: int, right: int) -> None:
        """So many were guessed, so many of them were right."""
        if not guessed:
            return
        if right == guessed:
            self._width = min(2 * self._width, self._most)
        else:
            self._width = max(1, right)
        self._missed = 0 if right else self._missed + 1
        self._pause = min(2**self._missed, LONGEST_PAUSE) - 1
