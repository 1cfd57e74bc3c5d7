"""Where a scene's questions are collected."""

from __future__ import annotations

from random import Random

from tessera.playground.parts import Question, UnitBox, box_text
from tessera.playground.wording import WORDINGS

YES_NO = ("no", "yes")


class Asker:
    """Collects the questions of one scene; the wording is drawn from the scene's generator."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.questions: list[Question] = []

    def add(
        self,
        task: str,
        kind: str,
        answer: str,
        a: object = "",
        b: object = "",
        *,
        final: str | None = None,
        images: tuple[int, ...] = (0,),
        box: UnitBox | None = None,
        in_caption: bool = True,
    ) -> None:
        """Append one question of this kind; `final` defaults to the answer."""
        text = self.rng.choice(WORDINGS[kind]).format(a=a, b=b)
        graded = answer if final is None else final
        self.questions.append(Question(task, kind, text, answer, graded, images, box, in_caption))

    def add_box(self, phrase: str, box: UnitBox) -> None:
        """Ask for the box of the thing that `phrase` names; only the picture can answer."""
        final = box_text(box)
        answer = f"<ref>{phrase}</ref><box>{final}</box>"
        self.add("box", "box", answer, phrase, final=final, box=box, in_caption=False)
