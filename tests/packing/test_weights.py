"""Token, sample and square averaging."""

import numpy as np
import pytest

from tessera.packing.samples.weights import Averaging, sample_weight, weigh_tokens


@pytest.mark.parametrize(("averaging", "expected"), [("token", 1.0), ("sample", 1 / 16), ("square", 1 / 4)])
def test_weight_of_a_token_in_a_sample_of_sixteen(averaging: Averaging, expected: float) -> None:
    assert sample_weight(16, averaging) == expected


@pytest.mark.parametrize("averaging", ["token", "sample", "square"])
def test_a_sample_without_targets_weighs_nothing(averaging: Averaging) -> None:
    assert sample_weight(0, averaging) == 0
    assert not weigh_tokens(np.zeros(5, dtype=np.float32), averaging).any()


@pytest.mark.parametrize(("averaging", "power"), [("token", 1.0), ("sample", 0.0), ("square", 0.5)])
def test_total_weight_of_a_sample_grows_as_the_rule_says(averaging: Averaging, power: float) -> None:
    for trained in (1, 9, 100):
        mask = np.r_[np.zeros(7), np.ones(trained)].astype(np.float32)
        weights = weigh_tokens(mask, averaging)
        assert weights.dtype == np.float32
        assert weights[:7].sum() == 0
        assert np.isclose(weights.sum(), trained**power)
