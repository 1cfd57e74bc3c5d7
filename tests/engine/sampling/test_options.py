"""What may be asked of the choice of tokens, and what is told about the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tessera.engine.sampling.options import Sampling, SamplingOptions, read_sampling


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("min_p", 1.5, "min_p = 1.5: give a share from 0"),
        ("presence_penalty", 2.1, "presence_penalty = 2.1: give a number from -2 to 2"),
        ("frequency_penalty", float("nan"), "frequency_penalty = nan: give"),
        ("repetition_penalty", 0.0, "repetition_penalty = 0.0: give 1 for off"),
        ("logit_bias", {5: 101}, r"logit_bias = \(\(5, 101.0\),\): give every token once"),
        ("logit_bias", [(5, 1), (5, 2)], "give every token once"),
        ("logit_bias", {"five": 1}, "logit_bias"),
        ("logprobs", 21, "logprobs = 21: give a number from 0 to 20"),
        ("logprobs", -1, "logprobs = -1"),
        ("stop", "", "stop = .*: an empty string"),
        ("max_tokens", 5, "max_tokens = 5: no such setting; give max_new_tokens"),
        ("begun", "x", "begun"),
    ],
)
def test_what_cannot_be_is_told_by_name(field: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_sampling({field: value})


def test_a_bias_is_read_as_openais_clients_send_it() -> None:
    """JSON knows only texts as keys."""
    assert read_sampling({"logit_bias": {"50256": -100, 7: 1.5}}).logit_bias == ((50256, -100.0), (7, 1.5))
    assert hash(read_sampling({"logit_bias": {"50256": -100}}))


def test_what_ends_an_answer() -> None:
    assert Sampling(stop_token_ids=(7,)).ending(frozenset({1, 2})) == {1, 2, 7}
    assert Sampling(ignore_eos=True, stop_token_ids=(7,)).ending(frozenset({1, 2})) == {7}


def test_every_field_can_be_given_by_name() -> None:
    """What `chat` takes by name is what `Sampling` has, with the words of the model cards."""
    assert {*SamplingOptions.__annotations__} - {"do_sample", "num_beams"} == {*Sampling.model_fields} - {
        "begun"
    }
