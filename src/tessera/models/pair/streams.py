"""Who sees whom in QLLaMA's stream: the three masks of stage 2, and what inference needs of them.

Queries of a picture always see each other. Then, per task (InternVL 1.0 paper, section 3.3; internvl_g):
matching: queries and text see each other, all of both; contrast: neither sees the other, the text is causal;
generation: the text is causal and sees the queries, which don't see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tessera.nn.attention.pieces import Pieces

Task = Literal["matching", "contrast", "generation"]


def mixed(queries: int, sets: Sequence[int | None], tasks: Sequence[Task], lengths: Sequence[int]) -> Pieces:
    """The stream of query sets and then texts.

    queries: Q of each set. sets: which query set belongs to each text; None for a text alone. tasks, lengths:
    of each text. A set serves several texts as long as it sees none of them; sets without a text stand there,
    too. A text's positions go on behind its set's.
    """
    count = max((each for each in sets if each is not None), default=-1) + 1
    seen_by_set: list[tuple[int, ...]] = [()] * count
    sees: list[tuple[int, ...]] = []
    for text, (own, task) in enumerate(zip(sets, tasks, strict=True)):
        sees.append(() if own is None or task == "contrast" else (own,))
        if own is not None and task == "matching":
            seen_by_set[own] += (count + text,)
    shared = [own for own, seen in enumerate(seen_by_set) if len(seen) > 1 or seen and sets.count(own) > 1]
    if shared:
        raise ValueError(f"sets: query set {shared[0]} sees a text, so it can serve no other")
    return Pieces(
        (*(queries,) * count, *lengths),
        (*(False,) * count, *(task != "matching" for task in tasks)),
        (*seen_by_set, *sees),
        (*(0,) * count, *(0 if own is None else queries for own in sets)),
    )
