"""Held-out tasks of the playground: scenes from seeds that no training run uses, questions spread evenly.

Training derives its scenes from `("source", …)`, evaluation from `("heldout", task, index)`. Within a
task the kinds of questions, and within a kind the right answers, come equally often as far as the scenes
allow: an answer that is merely frequent earns little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessera.chat.message import Conversation
from tessera.playground.parts import Question, Scene
from tessera.playground.scene import TASK_SUITES, TASKS, draw_scene
from tessera.playground.talk import Mode, opening
from tessera.runtime.seeds import derive_seed


@dataclass(frozen=True)
class Item:
    """One question to answer, with the scene it is about."""

    scene: Scene
    question: Question

    def prompt(self, mode: Mode) -> Conversation:
        """The question alone, as a conversation of one user message: nothing of the answer is in it."""
        return Conversation((opening(self.scene, self.question.text, mode),))


def choose_tasks(names: Sequence[str] = ()) -> tuple[str, ...]:
    """The named tasks, or all of them. Raises ValueError naming an unknown one and the known ones."""
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ValueError(f"tasks: {', '.join(unknown)} unknown; choose from {', '.join(TASKS)}")
    return tuple(names) or tuple(TASKS)


def heldout_items(
    task: str, count: int, level: int = 2, size: tuple[int, int] = (64, 64)
) -> tuple[Item, ...]:
    """`count` questions of a task, one a scene; a smaller count gives the beginning of a larger one."""
    if count < 1:
        raise ValueError(f"count: {count} questions per task; give at least 1")
    balance = _Balance()
    items: list[Item] = []
    for scene in heldout_scenes(task, level, size):
        question = balance.choose([q for q in scene.questions if q.task == task])
        if question is not None:
            items.append(Item(scene, question))
        if len(items) == count:
            break
    return tuple(items)


class _Balance:
    """Counts kinds and answers so far, and refuses those that run ahead of their fair share."""

    LEAD = 2

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.finals: dict[str, Counter[str]] = defaultdict(Counter)

    def choose(self, questions: Sequence[Question]) -> Question | None:
        """The question that is rarest so far, kind before answer; None when each has come often enough."""
        fair = [
            q
            for q in questions
            if self._fair(self.kinds, q.kind) and self._fair(self.finals[q.kind], q.final)
        ]
        if not fair:
            return None
        chosen = min(fair, key=lambda q: (self.kinds[q.kind], self.finals[q.kind][q.final]))
        self.kinds[chosen.kind] += 1
        self.finals[chosen.kind][chosen.final] += 1
        return chosen

    def _fair(self, seen: Counter[str], value: str) -> bool:
        return seen[value] < seen.total() / max(1, len(seen)) + self.LEAD


def heldout_scenes(task: str, level: int, size: tuple[int, int]) -> Iterator[Scene]:
    """Endless scenes for a task, its suites in turn."""
    suites = TASK_SUITES[choose_tasks([task])[0]]
    index = 0
    while True:
        yield draw_scene(suites[index % len(suites)], derive_seed("heldout", task, index), size, level)
        index += 1
