"""Parameters of every entry: against the modules themselves, and against what was published.

A published figure counts as met within 1 %, or when the count rounds to its printed digits: "0.9B" for a
model of 938 million is as good as one decimal can be. The test of the rule shows that wrong figures are told
apart.
"""

from __future__ import annotations

import pytest
from torch import nn

from tessera.families.catalogue import entries
from tessera.families.entry import Entry
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM

DISTINCT = list({(e.vision.name, e.language.name): e for e in entries()}.values())


def fits(figure: str, count: int) -> bool:
    """Whether a count lies within 1 % of a printed figure, or rounds to it."""
    decimals = len(figure.partition(".")[2])
    return abs(count / 1e9 - float(figure)) <= max(0.01 * float(figure), 0.5 * 10**-decimals)


def name(entry: Entry) -> str:
    return entry.name


@pytest.mark.parametrize("entry", DISTINCT, ids=name)
def test_sums_are_those_of_the_modules(entry: Entry) -> None:
    """Configs add up formulas; the same model on the meta device has the very same numbers."""
    with without_memory():
        model = VLM(entry.model)
    parts = {part: numbers(module) for part, module in model.named_children()}
    linears = [
        linear
        for stack in (module for module in model.modules() if isinstance(module, nn.ModuleList))
        for linear in stack.modules()
        if isinstance(linear, nn.Linear)
    ]
    saved = sum(linear.weight.numel() - 2 * linear.out_features for linear in linears)
    counted = entry.parameters()
    assert counted.pop("embeddings") == model.decoder.embed_tokens.weight.numel()
    assert counted == {**parts, "total": numbers(model)}
    assert entry.bytes_to_load("bf16") == 2 * numbers(model)
    assert entry.bytes_to_load("int8") == 2 * numbers(model) - saved


def numbers(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("entry", entries(), ids=name)
def test_published_figures_are_met(entry: Entry) -> None:
    counted = entry.parameters()
    figures = entry.published.parts()
    assert entry.published.source
    assert "total" in figures or {"vision", "decoder"} <= figures.keys(), "nothing to hold the sum against"
    assert "vision" in figures or not entry.model.vision.num_hidden_layers
    for part, figure in figures.items():
        assert fits(figure, counted[part]), (part, figure, counted[part])


def test_the_rule_tells_wrong_figures() -> None:
    assert fits("0.9", 938_000_000) and not fits("0.9", 960_000_000)
    assert fits("78.4", 78_400_000_000) and not fits("5.54", 5_905_000_000)
    assert fits("0.304", 304_012_288) and not fits("0.304", 309_000_000)


@pytest.mark.parametrize(
    ("model", "printed"),
    [
        ("InternVL2_5-4B", "4.2"),
        ("InternVL2_5-38B", "40.1"),
        ("InternVL2_5-78B", "76.3"),
        ("InternVL3-2B", "1.9"),
        ("InternVL3-8B", "8.1"),
        ("InternVL2-4B", "4.2"),
    ],
)
def test_tables_known_to_be_wrong_are_not_met(model: str, printed: str) -> None:
    """Figures that other tables print; the docstrings of the generations say where they stand."""
    entry = next(e for e in entries() if e.name == model)
    assert not fits(printed, entry.parameters()["total"])
