"""Held-out tasks of the playground: scenes from seeds that no training run uses, questions spread evenly.

Training derives its scenes from `("source", …)`, evaluation from `("heldout", task, index)`. Within a
task the kinds of questions, and within a kind the right answers, come equally often as far as the scenes
allow: an answer that is merely frequent earns little.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from tessera.chat.message import Conversation
from tessera.playground.parts import Question, Scene
from tessera.playground.scene import ALL_TASKS, TASK_SUITES, TASKS, draw_scene
from tessera.playground.talk import Mode, opening
from tessera.runtime.seeds import derive_seed


@dataclass(frozen=True)
class HeldoutItem:
    """One question to answer, with the scene it is about."""

    scene: Scene
    question: Question

    def prompt(self, mode: Mode, wording: Callable[[str], str] = str) -> Conversation:
        """The question alone, as a conversation of one user message: nothing of the answer is in it.

        wording: what is asked of a question's text.
        """
        return Conversation((opening(self.scene, wording(self.question.text), mode),))


def choose_tasks(names: Sequence[str] = ()) -> tuple[str, ...]:
    """The named tasks, or those of the shipped mixture. ValueError naming an unknown one and the known."""
    unknown = [name for name in names if name not in ALL_TASKS]
    if unknown:
        raise ValueError(f"tasks: {', '.join(unknown)} unknown; choose from {', '.join(ALL_TASKS)}")
    return tuple(names) or tuple(TASKS)


def most_tokens(tasks: Sequence[str]) -> int:
    """Room for an answer to any question of these tasks: steps that are written out take more."""
    return 96 if "reason" in tasks else 48


def heldout_items(
    task: str, count: int, level: int = 2, size: tuple[int, int] = (64, 64)
) -> tuple[HeldoutItem, ...]:
    """`count` questions of a task, one a scene; a smaller count gives the beginning of a larger one."""
    if count < 1:
        raise ValueError(f"count: {count} questions per task; give at least 1")
    suites = TASK_SUITES[choose_tasks([task])[0]]
    return tuple(islice(heldout_questions(task, suites, lambda q: q.task == task, level, size), count))


def heldout_questions(
    name: str,
    suites: Sequence[str],
    wanted: Callable[[Question], bool],
    level: int = 2,
    size: tuple[int, int] = (64, 64),
) -> Iterator[HeldoutItem]:
    """Endless wanted questions, the suites in turn; other scenes for each `name`."""
    balance = _Balance()
    for index, suite in enumerate(cycle(suites)):
        scene = draw_scene(suite, derive_seed("heldout", name, index), size, level)
        question = balance.choose(list(filter(wanted, scene.questions)))
        if question is not None:
            yield HeldoutItem(scene, question)


class _Balance:
    """Counts kinds and answers so far, and refuses those that run ahead of their fair share."""

    LEAD = 2

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.finals: dict[str, Counter[str]] = defaultdict(Counter)

    def choose(self, questions: Sequence[Question]) -> Question | None:
        """The question that is rarest so far, kind before answer; None when each has come often enough."""
        fair = [q for q in questions if self._fair(q)]
        if not fair:
            return None
        chosen = min(fair, key=lambda q: (self.kinds[q.kind], self.finals[q.kind][q.final]))
        self.kinds[chosen.kind] += 1
        self.finals[chosen.kind][chosen.final] += 1
        return chosen

    def _fair(self, question: Question) -> bool:
        counts = (self.kinds, question.kind), (self.finals[question.kind], question.final)
        return all(seen[value] < seen.total() / max(1, len(seen)) + self.LEAD for seen, value in counts)
