"""The playground as a source: a new scene for every index, with some of its questions."""

from pathlib import Path
from random import Random

from tessera.chat.message import Conversation
from tessera.playground.parts import Question, Scene
from tessera.playground.scene import draw_scene
from tessera.playground.talk import caption_conversation, conversation
from tessera.records.manifest import PlaygroundSource
from tessera.runtime.seeds import derive_seed

MOST_REDRAWS = 50


class PlaygroundReader:
    """Conversations as a pure function of settings and index, in every process the same."""

    def __init__(self, spec: PlaygroundSource) -> None:
        self.spec, self.name, self.size = spec, spec.name, spec.count

    def place(self, index: int) -> tuple[Path, int]:
        """A drawn scene stands in no file: the source's name and the scene's number (from 1)."""
        return Path(self.spec.name), index + 1

    def fingerprint(self) -> None:
        """None: a scene's length is known only when it is drawn."""

    def conversation(self, index: int) -> Conversation:
        """The conversation of a scene. ValueError when the settings leave no question to ask."""
        rng = Random(derive_seed("source", self.spec.name, self.spec.seed, index))
        for _ in range(MOST_REDRAWS):
            scene = self._draw(rng)
            # Without the picture its description can't be asked for, or stands in the question already.
            if self.spec.mode == "picture" and rng.random() < self.spec.descriptions:
                return caption_conversation(scene, rng)
            questions = choose_questions(self._allowed(scene), self.spec.questions, rng)
            if questions:
                return conversation(scene, questions, self.spec.mode)
        raise ValueError(
            f"{self.name}: tasks {self.spec.tasks}, mode {self.spec.mode!r} leave no question in the suites "
            f"{', '.join(self.spec.suites)}; add suites or tasks"
        )

    def _draw(self, rng: Random) -> Scene:
        """One scene, its suite, level and size by their shares."""
        suite = rng.choices(list(self.spec.suites), list(self.spec.suites.values()))[0]
        level = rng.choices(list(self.spec.levels), list(self.spec.levels.values()))[0]
        return draw_scene(suite, rng.getrandbits(62), rng.choice(self.spec.sizes), level)

    def _allowed(self, scene: Scene) -> list[Question]:
        """Questions of the chosen tasks that can be answered in this mode."""
        seen = [q for q in scene.questions if q.in_caption or self.spec.mode != "caption"]
        return [q for q in seen if not self.spec.tasks or q.task in self.spec.tasks]


def choose_questions(questions: list[Question], most: int, rng: Random) -> list[Question]:
    """At most `most` questions in random order; kinds in turn, or frequent ones would crowd out others."""
    groups: dict[tuple[str, str], list[Question]] = {}
    for question in rng.sample(questions, len(questions)):
        groups.setdefault((question.task, question.kind), []).append(question)
    rounds = [(number, q) for group in groups.values() for number, q in enumerate(group)]
    chosen = [q for _, q in sorted(rounds, key=lambda pair: pair[0])[:most]]
    return rng.sample(chosen, len(chosen))
