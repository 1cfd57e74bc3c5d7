"""Reasoning questions: answers worked out again from captions and pixels, steps that hold, even answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from tessera.playground.parts import Question, Scene
from tessera.playground.scene import draw_scene
from tessera.scoring.reasoned.extraction import FinalAnswer, extract_answer
from tessera.scoring.reasoned.steps import judge_steps, split_steps
from tests.playground.reading import phrases, see

LEVELS = (1, 2, 3)


def bars(scene: Scene) -> dict[str, int]:
    return {color: int(value) for color, value in re.findall(r"([a-z]+) (\d)\.", scene.caption)}


def digits(scene: Scene) -> list[int]:
    found = re.match(r"the number is (\d+)\.", scene.caption)
    assert found
    return [int(digit) for digit in found[1]]


def counts(scene: Scene) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, color, shape in re.findall(r"a (big|small) ([a-z]+) ([a-z]+) ", scene.caption):
        found.update((color, shape + ("es" if shape == "cross" else "s")))
    return found


def names(phrase: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"\band\b|\bthings\b", "", phrase))


def of_bars(scene: Scene, a: str, b: str, kind: str) -> object:
    seen = bars(scene)
    values = [seen[name] for name in names(a)]
    match kind:
        case "total":
            return sum(values)
        case "sum_less":
            return sum(values) - seen[b]
        case "spread":
            return max(seen.values()) - min(seen.values())
        case "bars_sum_over":
            return "yes" if sum(values) > int(b) else "no"
    return sum(value > int(a) for value in seen.values())


def of_digits(scene: Scene, a: str, b: str, kind: str) -> object:
    seen = digits(scene)
    if kind == "digit_spread":
        return max(seen) - min(seen)
    return sum(seen) if kind == "digit_total" else seen[0] + seen[1] - seen[2]


def of_things(scene: Scene, a: str, b: str, kind: str) -> object:
    seen = counts(scene)
    return sum(seen[name] for name in names(a)) - sum(seen[name] for name in names(b))


SOLVERS: dict[str, Callable[[Scene, str, str, str], object]] = {
    **dict.fromkeys(("total", "sum_less", "spread", "bars_sum_over", "bars_over"), of_bars),
    **dict.fromkeys(("digit_total", "digits_less", "digit_spread"), of_digits),
    **dict.fromkeys(("count_total", "count_less"), of_things),
}


def asked(level: int, scenes: int = 300) -> list[tuple[Scene, Question]]:
    drawn = [draw_scene("reasoning", seed, level=level) for seed in range(scenes)]
    return [(scene, question) for scene in drawn for question in scene.questions]


@pytest.mark.parametrize("level", LEVELS)
def test_answers_follow_from_the_caption(level: int) -> None:
    found = asked(level)
    for scene, question in found:
        assert question.task == "reason"
        assert question.final == str(SOLVERS[question.kind](scene, *phrases(question), question.kind))
    assert {question.kind for _, question in found} == set(SOLVERS)


def test_captions_of_things_follow_from_the_pixels() -> None:
    for scene, question in asked(2):
        if question.kind == "count_total":
            objects = see(scene.media[0].source)  # type: ignore[arg-type]
            kinds = Counter(word for each in objects for word in (each.color, each.shape))
            assert all(
                kinds[name.removesuffix("es") if name == "crosses" else name.removesuffix("s")] == count
                for name, count in counts(scene).items()
            )


@pytest.mark.parametrize("level", LEVELS)
def test_steps_keep_the_published_form_and_hold(level: int) -> None:
    for _, question in asked(level, 100):
        assert extract_answer(question.answer, "en") == FinalAnswer(question.final)
        steps = split_steps(question.answer)
        assert 3 <= len(steps) <= 5 and all(judge_steps(question.answer, question.answer))
        for one, sign, two, result in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", question.answer):
            assert int(one) + (1 if sign == "+" else -1) * int(two) == int(result)


def test_a_wrong_value_makes_its_step_wrong_and_no_other() -> None:
    for _, question in asked(2, 100):
        steps = split_steps(question.answer)
        for place, step in enumerate(steps):
            changed = step.replace(step[-2:], "99." if step.endswith(".") else " 99")
            worse = [*steps[:place], changed, *steps[place + 1 :]]
            verdicts = judge_steps(question.answer, "\n\n".join(worse))
            assert verdicts == tuple(number != place for number in range(len(steps)))


def test_no_answer_is_frequent() -> None:
    finals: dict[str, Counter[str]] = {kind: Counter() for kind in SOLVERS}
    for _, question in asked(2, 1000):
        finals[question.kind][question.final] += 1
    for kind, found in finals.items():
        most = {"bars_sum_over": 0.55, "bars_over": 0.5, "count_less": 0.35}.get(kind, 0.3)
        assert found.most_common(1)[0][1] / found.total() < most, (kind, found)
