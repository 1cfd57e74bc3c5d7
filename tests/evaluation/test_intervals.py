"""Intervals and standard errors: against closed forms, double sums and simulation."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.evaluation.comparing.intervals import interval_of, ratio_error, standard_error
from tessera.evaluation.comparing.resampling import halves, number_units, unit_of
from tessera.evaluation.interval import wilson_interval
from tessera.scoring.aggregates import consecutive
from tessera.scoring.ratio import Ratio
from tessera.scoring.verdict import OVERALL, Graded
from tessera.scoring.yes_no.figures import HallusionAccuracies, MmeSums
from tests.evaluation.graded import ComputedMean, Mean, graded

SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(0, 5)), min_size=2, max_size=30
)


def slow_error(scores: list[float], units: list[int]) -> float:
    """Equation 4 of arXiv:2411.00640 as it stands: one over n squared, times all pairs within units."""
    n, mean = len(scores), sum(scores) / len(scores)
    alone = sum((s - mean) ** 2 for s in scores) / (n - 1) / n
    pairs = sum(
        (scores[i] - mean) * (scores[j] - mean)
        for i, j in product(range(n), repeat=2)
        if i != j and units[i] == units[j]
    )
    return math.sqrt(max(0.0, alone + pairs / n**2))


@settings(deadline=None, max_examples=100)
@given(SCORES)
def test_clustered_error_is_the_double_sum(drawn: list[tuple[float, int]]) -> None:
    scores, units = [s for s, _ in drawn], [u for _, u in drawn]
    assert standard_error(scores, units) == pytest.approx(slow_error(scores, units), abs=1e-8)
    alone = list(range(len(scores)))
    assert standard_error(scores) == pytest.approx(slow_error(scores, alone), abs=1e-8)


def test_errors_that_lmms_eval_gives() -> None:
    """Recorded from lmms_eval.api.metrics.clustered_stderr of lmms-eval@75571cf."""
    scores, units = [1, 0, 1, 1, 0, 0.5, 1, 0, 0, 1], ["a", "a", "b", "b", "b", "c", "d", "d", "d", "d"]
    assert standard_error(scores, units) == pytest.approx(CLUSTERED, rel=1e-12)


CLUSTERED = 0.06497862896539311


def test_error_needs_two_scores_and_as_many_units() -> None:
    assert math.isnan(standard_error([1.0])) and math.isnan(standard_error([]))
    with pytest.raises(ValueError, match="units: 1 for 2 scores"):
        standard_error([1.0, 0.0], ["a"])


def test_error_of_a_ratio_is_that_of_its_members() -> None:
    """A category's mean has the error that its own questions have."""
    scores, inside = [1.0, 0.0, 0.5, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    ratio = Ratio([s * i for s, i in zip(scores, inside, strict=True)], inside, 1.0)
    own = [s for s, i in zip(scores, inside, strict=True) if i]
    assert ratio_error(ratio, np.arange(6)) == pytest.approx(standard_error(own), rel=1e-12)


@pytest.mark.parametrize("right", [0, 1, 7, 50])
def test_shares_have_wilsons_interval(right: int) -> None:
    found = interval_of(graded([1] * right + [0] * (50 - right)), Mean())
    low, high = wilson_interval(right, 50)
    assert found[OVERALL] == pytest.approx((100 * low, 100 * high))
    assert found.estimates[OVERALL].how == "Wilson" and found.units == 50


def test_units_that_are_all_right_count_as_units() -> None:
    """Forty rotations of ten questions tell no more than ten questions."""
    found = interval_of(graded([1] * 40, [at // 4 for at in range(40)]), Mean(), unit_of("picture"))
    assert found[OVERALL] == pytest.approx((100 * wilson_interval(10, 10)[0], 100.0))
    assert (found.questions, found.units) == (40, 10)


def test_units_are_drawn_whole() -> None:
    """Both ways know that four copies of a question are one question."""
    scores = [float(at % 3 > 0) for at in range(60)]
    once = interval_of(graded(scores), Mean())[OVERALL]
    repeated = graded([s for s in scores for _ in range(4)], [at // 4 for at in range(240)])
    for aggregate in (Mean(), ComputedMean()):
        low, high = interval_of(repeated, aggregate, unit_of("picture"))[OVERALL]
        assert high - low == pytest.approx(once[1] - once[0], rel=0.12)
        narrow = interval_of(repeated, aggregate)[OVERALL]
        assert narrow[1] - narrow[0] < 0.6 * (high - low)


@pytest.mark.parametrize("aggregate", [Mean(), ComputedMean()])
def test_bootstrap_has_the_normal_width(aggregate: object) -> None:
    scores = np.random.default_rng(3).random(401).tolist()
    found = interval_of(graded(scores), aggregate).estimates[OVERALL]  # type: ignore[arg-type]
    expected = 100 * standard_error(scores)
    assert found.error == pytest.approx(expected, rel=0.08)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * expected, rel=0.1)


def test_intervals_cover_the_truth() -> None:
    """Of 200 samples with pictures of four questions each about 95 % hold the mean they were drawn from."""
    random_ = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        skill = np.repeat(random_.beta(1, 1, 40), 4)
        scores = (random_.random(160) < skill).astype(float).tolist()
        low, high = interval_of(
            graded(scores, [at // 4 for at in range(160)]), Mean(), unit_of("picture"), seed, draws=200
        )[OVERALL]
        held += low <= 50 <= high
    assert 180 <= held <= 199


def test_same_seed_same_bounds() -> None:
    answers = graded(np.random.default_rng(1).random(30).tolist())
    assert interval_of(answers, Mean(), seed=4) == interval_of(answers, Mean(), seed=4)
    assert (
        interval_of(answers, ComputedMean(), seed=4)[OVERALL] != interval_of(answers, ComputedMean())[OVERALL]
    )


def test_time_bounds_draws_and_is_told() -> None:
    found = interval_of(graded([1, 0] * 20), ComputedMean(), seconds=0).estimates[OVERALL]
    assert found.how == "spread of 20 halves"
    assert found.error == pytest.approx(100 * standard_error([1, 0] * 20), rel=0.5)


def test_categories_have_their_own() -> None:
    kinds = ["a"] * 20 + ["b"] * 4
    found = interval_of(graded([1, 0] * 12, category=kinds), Mean())
    assert list(found) == [OVERALL, "a", "b"]
    assert found["b"] == pytest.approx(tuple(100 * bound for bound in wilson_interval(2, 4)))


def test_one_question_has_no_computed_interval() -> None:
    found = interval_of(graded([1]), ComputedMean()).estimates[OVERALL]
    assert math.isnan(found.low) and found.how == "too few questions"
    with pytest.raises(ValueError, match="no questions"):
        interval_of([], Mean())


def test_units_by_column_and_without_a_value() -> None:
    answers = graded([1, 1, 1, 1, 1], picture=["x", None, "x", None, ""])
    assert number_units(answers, unit_of("picture")).tolist() == [0, 1, 0, 2, 3]
    files = {str(n): ["a.png"] for n in (1, 2, 3)}
    assert number_units(answers, unit_of("picture", files)).tolist() == [0, 1, 0, 1, 2]
    assert number_units(answers, unit_of(None)).tolist() == [0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 9))
def test_halves_hold_whole_units(names: list[int], seed: int) -> None:
    units = number_units(graded([0] * len(names), [f"p{n}" for n in names]), unit_of("picture"))
    chosen = next(halves(units, np.random.default_rng(seed)))
    assert len({units[at] for at in chosen}) == max(1, (int(units.max()) + 1) // 2)
    assert {at for at in range(len(names)) if units[at] in {units[c] for c in chosen}} == {*chosen.tolist()}


def test_sums_are_no_means() -> None:
    """OCRBench's points of half of the questions are half as many."""
    scores = [float(at % 5 > 0) for at in range(101)]
    mean = interval_of(graded(scores), ComputedMean()).estimates[OVERALL]
    points = interval_of(graded(scores), lambda found: {OVERALL: sum(g.verdict.score for g in found)})
    assert points.estimates[OVERALL].error == pytest.approx(1.01 * mean.error)
    assert points[OVERALL] == pytest.approx((1.01 * mean.low, 1.01 * mean.high), abs=1.0)


def mme_answers(random_: np.random.Generator, pictures: int) -> list[Graded]:
    """Two questions a picture, both easy or both hard; the pictures of two categories in turn."""
    easy = np.repeat(random_.random(pictures) < 0.7, 2)
    right = (random_.random(2 * pictures) < np.where(easy, 0.95, 0.4)).astype(float).tolist()
    kinds = [("OCR", "code_reasoning")[at // 2 % 2] for at in range(2 * pictures)]
    return graded(right, [at // 2 for at in range(2 * pictures)], category=kinds)


@pytest.mark.parametrize("picture", [None, "picture"])
def test_pairs_of_mme_are_drawn_whole_without_being_told(picture: str | None) -> None:
    """Its standard error is the spread of the figure over 300 fresh samples."""
    figures = MmeSums("category", picture)
    random_ = np.random.default_rng(1)
    fresh = np.std([figures(mme_answers(random_, 80))[OVERALL] for _ in range(300)])
    estimates = [interval_of(mme_answers(random_, 80), figures, draws=200) for _ in range(5)]
    assert {found.units for found in estimates} == {80}
    assert np.mean([found.estimates[OVERALL].error for found in estimates]) == pytest.approx(fresh, rel=0.15)
    assert all(
        low < found.estimates[OVERALL].value < high for found in estimates for low, high in [found[OVERALL]]
    )


def test_sets_of_hallusionbench_and_runs_of_crpe() -> None:
    rows = graded([1] * 8, set_id=[*"00112233"], figure_id=[0] * 8, question_id=[0] * 8)
    assert number_units(rows, None, HallusionAccuracies()).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert number_units(graded([1] * 6), None, consecutive(4)).tolist() == [0, 0, 0, 0, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_units_and_groups_together(pairs: list[tuple[int, int]]) -> None:
    """Whatever is linked through either is one unit: by spreading the least number until nothing changes."""

    class Grouping(Mean):
        def together(self, graded: Sequence[Graded], /) -> list[int]:
            return [two for _, two in pairs]

    answers = graded([1] * len(pairs), [f"p{one}" for one, _ in pairs])
    numbers = list(range(len(pairs)))
    for _ in pairs:
        for i, j in product(range(len(pairs)), repeat=2):
            if pairs[i][0] == pairs[j][0] or pairs[i][1] == pairs[j][1]:
                numbers[i] = numbers[j] = min(numbers[i], numbers[j])
    found = number_units(answers, unit_of("picture"), Grouping()).tolist()
    assert [found.index(n) for n in found] == numbers


def test_bounds_of_computed_figures_stay_where_figures_can_be() -> None:
    """A recall of 100 %, and 0 in halves that have none to find, once had bounds from 100.2 to 100.2."""

    def recall(found: Sequence[Graded]) -> dict[str, float]:
        asked = [one.verdict.score for one in found if one.reference.fields["category"] == "yes"]
        return {OVERALL: 100 * sum(asked) / len(asked) if asked else 0.0}

    kinds = ["yes"] * 8 + ["no"] * 40
    assert interval_of(graded([1] * 48, category=kinds), recall)[OVERALL] == (100, 100)
    low, high = interval_of(graded([1, 1, 1, 0] * 12, category=kinds), recall)[OVERALL]
    assert 0 <= low < 75 < high <= 100
    spread = interval_of(graded([1] * 23 + [0]), ComputedMean(), seconds=0).estimates[OVERALL]
    assert spread.high <= 100 and spread.how == "spread of 20 halves"
