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


def test_layer_decay_is_the_published_one() -> None:
    """rate ** (depth + 1 - i): once in the last block, more often below, never above."""
    rules = (VISION, Rule(pattern=r"^connector"), tiny.ALL.model_copy(update={"layer_decay": 0.5}))
    trained = {a.name: a.learning_rate for a in assign(tiny.model(), rules)}
    for name, rate in (
        ("vision.layers.1.attn.qkv.weight", 5e-5),
        ("vision.layers.0.attn.qkv.weight", 2.5e-5),
        ("vision.embeddings.class_embedding", 1.25e-5),
        ("decoder.layers.1.mlp.up_proj.weight", 5e-4),
        ("decoder.embed_tokens.weight", 1.25e-4),
        ("decoder.norm.weight", 1e-3),
        ("decoder.lm_head.weight", 1e-3),
    ):
        assert trained[name] == pytest.approx(rate), name
    nowhere = VISION.model_copy(update={"pattern": r"^(vision|connector)\."})
    with pytest.raises(ValueError, match=r"rules\[0\]\.layer_decay = 0\.5: connector\..* in no stack"):
        assign(tiny.model(), (nowhere, FREEZE))


def test_what_never_decays() -> None:
    """By default what is no matrix; a field names the kinds."""
    model = tiny.model()
    for assignment in assign(model, (tiny.ALL,)):
        assert assignment.weight_decay == (0.1 if assignment.parameter.dim() > 1 else 0.0), assignment.name
    some = tiny.ALL.model_copy(update={"no_decay": ("embeddings", "biases")})
    exempt = {a.name for a in assign(model, (some,)) if a.weight_decay == 0}
    assert exempt == {
        *(name for name, _ in model.named_parameters() if name.endswith("bias")),
        *("vision.embeddings.class_embedding", "vision.embeddings.position_embedding"),
        "decoder.embed_tokens.weight",
    }


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
