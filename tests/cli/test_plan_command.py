"""`tessera train RECIPE --plan`, and runs that don't start because they need far too much."""

import json
from pathlib import Path

import pytest
import torch

from tessera.cli.main import main
from tessera.cli.training import plan as command
from tessera.train.plan import fit
from tessera.train.plan.machine import Machine


def test_tables_of_a_published_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "internvl_2_5/1b/second_full", "--plan", "--device-memory", "24GB", "--peak", "100"]
    assert main(words) == 0
    out = capsys.readouterr().out
    for said in (
        "stage 0: second_full",
        "^decoder",
        "optimizer",
        "gradients",
        "40% of the 100 TFLOP/s given",
    ):
        assert said in out
    assert "InternVL2_5-1B, one device of 24 GB: fits as it is" in out


def test_json_of_the_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "scale_model/internvl_2_5", "--plan", "--json", "--devices", "2"]
    words += ["--device-memory", "8GB"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert [stage["steps"] for stage in told["stages"]] == [120, 90, 620]
    assert all(sum(s["bytes"].values()) == s["total_bytes"] > 0 for s in told["stages"])
    assert told["advice"]["fits"] and told["devices"]["count"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device-memory", "much"), "24GB or 80GiB"),
        (("--devices", "0"), "at least 1"),
        (("--mfu", "40"), "a share of the peak"),
    ],
)
def test_options_that_mean_nothing(
    words: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "internvl_3/1b/second_lora", "--plan", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_needs_far_more_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An out-of-memory error after minutes of loading, or a machine that stops answering, helps nobody."""
    small = Machine(torch.device("cpu"), 2 * 10**6)
    monkeypatch.setattr(command, "find_machine", lambda *_: small)
    words = ["train", "fine_tune", "--out", str(tmp_path / "run"), "--device", "cpu"]
    words += ["--stages.0.sources.0.meta", "nowhere.json"]
    assert main(words) == 2
    assert "nowhere.json" in capsys.readouterr().err  # a small model is not looked at: it fits everywhere
    monkeypatch.setattr(command, "SMALL", 0)
    monkeypatch.setattr(fit, "KINDS", (fit.quantise,))  # the others need trials, and nothing helps here
    assert main(words) == 2
    said = capsys.readouterr().err
    assert (
        "'fine_tune' needs about" in said
        and "--no-plan-check" in said
        and not (tmp_path / "run/state").exists()
    )
