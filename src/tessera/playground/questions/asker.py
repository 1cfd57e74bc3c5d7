"""Where a scene's questions are collected, and the wordings in which they are asked."""

from collections.abc import Mapping
from configparser import RawConfigParser
from functools import cache
from importlib.resources import files
from random import Random

from tessera.playground.parts import Question, UnitBox, box_text

YES_NO = ("no", "yes")


@cache
def wordings() -> Mapping[str, tuple[str, ...]]:
    """Kind of question → its wordings, with {a} and {b} to fill in."""
    text = (files("tessera") / "assets" / "playground" / "wording.txt").read_text("utf-8")
    # A line is a key without a value: no sign may part it.
    parser = RawConfigParser(allow_no_value=True, delimiters=("\0",))
    parser.read_string(text)
    return {kind: tuple(parser[kind]) for kind in parser.sections()}


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
    ) -> None:
        """Append one question of this kind; `final` defaults to the answer."""
        text = self.rng.choice(wordings()[kind]).format(a=a, b=b)
        final = answer if final is None else final
        self.questions.append(Question(task, kind, text, answer, final, images, box))

    def add_all(self, task: str, **answers: str) -> None:
        """Append a question of each kind that has nothing to fill in."""
        for kind, answer in answers.items():
            self.add(task, kind, answer)

    def add_steps(
        self,
        kind: str,
        seen: str,
        terms: tuple[int, str, int],
        a: object = "",
        b: object = "",
        task: str = "arithmetic",
        images: tuple[int, ...] = (0,),
    ) -> None:
        """Ask for a sum or a difference: the answer says what is `seen` and how it is reckoned."""
        one, sign, two = terms
        final = str(one + two if sign == "+" else one - two)
        self.add(task, kind, f"{seen}{one} {sign} {two} = {final}", a, b, final=final, images=images)

    def add_box(self, phrase: str, box: UnitBox) -> None:
        """Ask for the box of the thing that `phrase` names; only the picture can answer."""
        final = box_text(box)
        answer = f"<ref>{phrase}</ref><box>{final}</box>"
        self.add("box", "box", answer, phrase, final=final, box=box)
