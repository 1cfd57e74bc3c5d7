"""mIoU, aAcc, mAcc: against mmseg's definition written with sets of pixels."""

from __future__ import annotations

import math
import random

import pytest

from tessera.scoring.dense.overlap import Overlap, count_overlap


def by_sets(pictures: list[tuple[list[int], list[int]]], classes: int) -> tuple[float, float, float]:
    """Intersections and unions as sets, summed over pictures; means leave out what is 0 by 0."""
    ious, recalls, right, counted = [], [], 0, 0
    for number in range(classes):
        both = either = held = 0
        for wanted, said in pictures:
            places = [n for n, label in enumerate(wanted) if label != 255]
            a = {n for n in places if wanted[n] == number}
            b = {n for n in places if said[n] == number}
            both, either, held = both + len(a & b), either + len(a | b), held + len(a)
        ious.append(both / either if either else math.nan)
        recalls.append(both / held if held else math.nan)
        right, counted = right + both, counted + held
    means = [sum(v for v in values if v == v) / sum(v == v for v in values) for values in (ious, recalls)]
    return 100 * means[0], 100 * right / counted, 100 * means[1]


@pytest.mark.parametrize("seed", range(20))
def test_as_sets_of_pixels_say(seed: int) -> None:
    rng = random.Random(seed)
    classes = rng.randint(2, 6)
    pictures = []
    for _ in range(3):
        wanted = [rng.choice([*range(rng.randint(1, classes)), 255]) for _ in range(40)]
        pictures.append((wanted, [rng.randrange(classes) for _ in range(40)]))
    first, *rest = (count_overlap(wanted, said, classes) for wanted, said in pictures)
    found = sum(rest, first).figures()
    assert (found.miou, found.aacc, found.macc) == pytest.approx(by_sets(pictures, classes))


def test_classes_that_are_nowhere_count_nowhere() -> None:
    found = count_overlap([0, 0, 1, 255], [0, 1, 1, 2], 4).figures()
    assert found.iou == (50.0, 50.0, None, None) and found.recall == (50.0, 100.0, None, None)
    assert found.miou == 50 and found.macc == 75 and found.aacc == pytest.approx(200 / 3)
    with pytest.raises(ValueError, match="no pixel has a label that counts"):
        count_overlap([255], [0], 2).figures()
    with pytest.raises(ValueError, match="label 3 predicted as 0: there are classes 0 to 1"):
        count_overlap([3], [0], 2)
    with pytest.raises(ValueError):
        Overlap(((1, 2), (3, 4))) + Overlap(((1,),))
