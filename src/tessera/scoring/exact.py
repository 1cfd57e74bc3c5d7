"""Right or wrong: exact answers, boxes by overlap, and written steps apart from the final value."""

import re

from tessera.scoring.boxes import box_iou, parse_boxes
from tessera.scoring.extract import final_answer, last_number, normalise_answer

BOX_KIND = "box"
BOX_THRESHOLD = 0.5
_STEP = re.compile(r"(?<!\d)(\d+)\s*([+-])\s*(\d+)\s*=\s*(-?\d+)(?!\d)")


def exact_match(expected: str, prediction: str) -> bool:
    """Whether both are the same after normalisation."""
    return normalise_answer(expected) == normalise_answer(prediction)


def grade(final: str, prediction: str, kind: str = "") -> bool:
    """Whether a prediction ends in the expected final value.

    Kind "box" asks for an intersection over union of at least 0.5 with the first predicted box. A number
    is compared with the value after the last `=`; steps are graded by `grade_steps`. Any other value must
    be the whole answer, so that naming everything earns nothing.
    """
    if kind == BOX_KIND:
        return box_score(final, prediction) >= BOX_THRESHOLD
    found = final_answer(prediction)
    by_steps = "=" in prediction and last_number(found) == final.strip() == last_number(final)
    return by_steps or found == normalise_answer(final)


def box_score(final: str, prediction: str) -> float:
    """Overlap of the first predicted box with the expected one, 0..1; 0 when nothing can be parsed."""
    expected = parse_boxes(final)
    if not expected:
        raise ValueError(f"final {final!r} holds no box: write it as [[x1, y1, x2, y2]]")
    predicted = parse_boxes(prediction)
    return box_iou(expected[0], predicted[0]) if predicted else 0.0


def steps_of(text: str) -> list[tuple[int, str, int, int]]:
    """All written steps `a + b = c` and `a - b = c`, in order, as numbers and the sign."""
    return [(int(a), sign, int(b), int(c)) for a, sign, b, c in _STEP.findall(text)]


def steps_hold(text: str) -> bool:
    """Whether at least one step is written and every one of them is true arithmetic."""
    found = steps_of(text)
    return bool(found) and all(a + b == c if sign == "+" else a - b == c for a, sign, b, c in found)


def grade_steps(answer: str, prediction: str) -> bool:
    """Whether every step in the prediction is true and equals the step of the expected answer.

    The two terms of a sum may be swapped; those of a difference may not. Raises ValueError when the
    expected answer holds no steps.
    """
    expected = steps_of(answer)
    if not expected:
        raise ValueError(f"answer {answer!r} holds no steps: grade it with grade() instead")
    return steps_hold(prediction) and [*map(_ordered, steps_of(prediction))] == [*map(_ordered, expected)]


def _ordered(step: tuple[int, str, int, int]) -> tuple[int, str, int, int]:
    a, sign, b, c = step
    return (min(a, b), sign, max(a, b), c) if sign == "+" else step
