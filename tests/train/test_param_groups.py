"""Ordered patterns decide what a stage trains."""

import pytest

from tessera.train.update.rules import Rule, assign, table
from tests.train import tiny

FREEZE = Rule(pattern=".")
VISION = Rule(pattern=r"^vision\.", learning_rate=1e-4, weight_decay=0.1, layer_decay=0.5)


def test_first_match_wins() -> None:
    model = tiny.model()
    connector = Rule(pattern=r"^connector\.", learning_rate=1e-3)
    trained = {a.name: a for a in assign(model, (connector, VISION, FREEZE))}
    assert all(p.requires_grad == (n in trained) for n, p in model.named_parameters())
    assert not any(name.startswith("decoder.") for name in trained)
    assert trained["connector.linear_1.weight"].learning_rate == 1e-3
    assert trained["connector.linear_1.weight"].weight_decay == 0.0
    assign(model, (tiny.ALL,))
    assert all(p.requires_grad for p in model.parameters())


def test_decay_of_layers_and_matrices() -> None:
    trained = {a.name: a for a in assign(tiny.model(), (VISION, FREEZE))}
    assert trained["vision.layers.1.attn.qkv.weight"].learning_rate == 1e-4
    assert trained["vision.layers.0.attn.qkv.weight"].learning_rate == pytest.approx(5e-5)
    assert trained["vision.embeddings.class_embedding"].learning_rate == pytest.approx(2.5e-5)
    assert trained["vision.layers.0.attn.qkv.weight"].weight_decay == 0.1
    assert trained["vision.layers.0.attn.qkv.bias"].weight_decay == 0.0


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((tiny.ALL, VISION), r"rules\[1\]\.pattern = '\^vision.* decides no parameter"),
        ((Rule(pattern="no_such", learning_rate=1.0), FREEZE), r"rules\[0\]"),
        ((VISION,), r"no rule matches 'connector\..*Rule\(pattern='\.'\)"),
        ((FREEZE,), "freeze everything"),
    ],
)
def test_rules_that_say_nothing_are_errors(rules: tuple[Rule, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign(tiny.model(), rules)


def test_table_counts_every_parameter_once() -> None:
    model = tiny.model()
    rows = table(model, (VISION, FREEZE))
    assert [(pattern, rate) for pattern, _, rate in rows] == [(r"^vision\.", "0.0001"), (".", "frozen")]
    assert rows[0][1] == sum(p.numel() for p in model.vision.parameters())
    assert sum(count for _, count, _ in rows) == sum(p.numel() for p in model.parameters())
