"""From rows of scores to tokens: one for each sequence, and more where guesses come true."""

from collections.abc import Callable
from collections.abc import Sequence as Seq
from itertools import accumulate

import torch

from tessera.engine.core.scheduler import Advance
from tessera.engine.core.ticket import Event
from tessera.engine.sampling.choose import choose_rows


def take_rows(
    advances: Seq[Advance], scores: torch.Tensor, finite: torch.Tensor, wrong: Callable[[], str]
) -> list[list[Event]]:
    """The events of each sequence; its tokens are taken.

    scores [R, V], finite bool [R]: behind the last token of each, then behind each of its guesses. A row
    behind a guess counts only if the token that was chosen is the guess. wrong: what is told where a row that
    counts is not finite.
    """
    starts = [0, *accumulate(1 + len(advance.guesses) for advance in advances)]
    sound = finite.tolist()
    events: list[list[Event]] = [[] for _ in advances]
    for index, advance in enumerate(advances):
        if advance.sequence.ending is not None:
            events[index].append(advance.sequence.end_behind_link())
    going, step = [index for index in range(len(advances)) if not events[index]], 0
    while going:
        for index in going:
            if not sound[starts[index] + step]:
                events[index].append(advances[index].sequence.end("failed", wrong()))
        going = [index for index in going if sound[starts[index] + step]]
        rows = [starts[index] + step for index in going]
        choosers = [advances[index].sequence.chooser for index in going]
        chosen = choose_rows(scores if len(rows) == len(scores) else scores[rows], choosers)
        right = []
        for index, choice in zip(going, chosen, strict=True):
            advance = advances[index]
            events[index].append(advance.sequence.take(choice))
            if advance.sequence.finish is None and advance.guesses[step : step + 1] == (choice.token,):
                right.append(index)
        going, step = right, step + 1
    return events
