"""The losses of pairs against TRL's own values (tests/golden/make_preference_losses.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tessera.train.objective.preference import METHODS, PreferenceObjective
from tessera.train.objective.preferences.losses import PreferenceKind, preference_loss, quality_loss

TABLE = json.loads((Path(__file__).parents[1] / "golden" / "preference_losses.json").read_text())
LOGPROBS = torch.tensor(TABLE["logprobs"], dtype=torch.float64)
"""[pairs, chosen or rejected, policy or reference]"""
TOKENS = torch.tensor(TABLE["tokens"], dtype=torch.float64)


def ratios(normalised: bool = False, reference: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """log pi - log pi_0 of chosen and rejected answers, [pairs] each."""
    found = LOGPROBS[:, :, 0] - LOGPROBS[:, :, 1] * reference
    chosen, rejected = (found / TOKENS if normalised else found).unbind(1)
    return chosen, rejected


def compared(kind: PreferenceKind, row: dict[str, Any], **more: bool) -> torch.Tensor:
    smoothing, margin = row["label_smoothing"], row.get("margin", 0.0)
    return preference_loss(kind, *ratios(**more), row["beta"], smoothing, margin)


def judged(row: dict[str, Any]) -> torch.Tensor:
    """0.10.1 judges by the mean of the rewards so far, that of the pair included; 1.16.0 by 0."""
    chosen, rejected = ratios()
    rewards = row["beta"] * (chosen + rejected) / 2
    shift = rewards.cumsum(0) / torch.arange(1, len(rewards) + 1)
    return quality_loss(chosen, rejected, row["beta"], shift * (row["trl"] == "0.10.1"))


@pytest.mark.parametrize("row", TABLE["losses"], ids=lambda row: f"{row['loss']}-{row['trl']}-{row['beta']}")
def test_losses_are_those_of_trl(row: dict[str, Any]) -> None:
    """Of IPO both versions take the mean of an answer's tokens; SimPO has no reference."""
    found = {
        "sigmoid": lambda: compared("sigmoid", row),
        "hinge": lambda: compared("hinge", row),
        "ipo": lambda: compared("ipo", row, normalised=True),
        "bco_pair": lambda: judged(row),
        "simpo": lambda: compared("sigmoid", row, normalised=True, reference=False),
    }[row["loss"]]()
    assert found.tolist() == pytest.approx(row["values"], abs=1e-6)


def test_the_table_has_every_loss_of_both_versions() -> None:
    found = {(row["trl"], row["loss"], row["label_smoothing"] > 0) for row in TABLE["losses"]}
    plain = {
        (trl, loss, False) for trl in ("0.10.1", "1.16.0") for loss in ("sigmoid", "hinge", "ipo", "bco_pair")
    }
    assert found == plain | {
        ("0.10.1", "sigmoid", True),
        ("1.16.0", "simpo", False),
        ("1.16.0", "simpo", True),
    }
    values = [value for row in TABLE["losses"] for value in row["values"]]
    assert len({round(value, 6) for value in values}) > len(values) / 2, "the losses tell cases apart"


def test_methods_set_what_their_losses_need() -> None:
    """Whoever asks for a method by name gets the loss that is compared with TRL's here."""
    ipo, simpo = (PreferenceObjective(**METHODS[name]) for name in ("ipo", "simpo"))
    assert (ipo.compare, ipo.length_normalised) == ("ipo", True)
    assert (simpo.compare, simpo.length_normalised, simpo.reference) == ("sigmoid", True, "none")
    mpo = PreferenceObjective()
    assert (mpo.preference, mpo.quality, mpo.generation, mpo.beta) == (0.8, 0.2, 1.0, 0.1)
