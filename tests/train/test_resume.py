"""A run that was killed goes on to the last digit, and never under another recipe."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tessera.train.loop import Trainer
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.watch.journal import read_reports
from tessera.train.watch.lines import StepFile
from tessera.train.watch.telemetry import StepReport
from tests.train import tiny

TOTAL = 8


def _trainer(recipe: Recipe, folder: Path) -> Trainer:
    return Trainer(set_up(recipe), folder)


def _facts(report: StepReport) -> tuple[object, ...]:
    """All but the times."""
    return tuple(value for name, value in vars(report).items() if name not in ("seconds", "wait"))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {file.name + key: value for file in files for key, value in load_file(file).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StepReport]]:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, list(_trainer(tiny.recipe(), folder).run())


@pytest.mark.parametrize("killed_after", [1, 3, 4, 6])
def test_resume_equals_the_undisturbed_run(
    killed_after: int, whole: tuple[Path, list[StepReport]], tmp_path: Path
) -> None:
    """Before the first save, in and at the border of a stage, and between saves of the second."""
    folder, expected = whole
    run = _trainer(tiny.recipe(), tmp_path).run()
    assert len(list(islice(run, killed_after))) == killed_after
    run.close()
    torch.manual_seed(999)  # a new process starts with another random state
    torch.rand(3)
    resumed = list(_trainer(tiny.recipe(), tmp_path).run())
    assert 0 < len(resumed) <= TOTAL - killed_after + 1
    assert [_facts(r) for r in resumed] == [_facts(r) for r in expected[TOTAL - len(resumed) :]]
    kept = read_reports(tmp_path)
    assert [_facts(r) for r in kept] == [_facts(r) for r in expected]
    finished, undisturbed = _weights(tmp_path / "1_full"), _weights(folder / "1_full")
    assert finished.keys() == undisturbed.keys()
    assert all(torch.equal(value, undisturbed[key]) for key, value in finished.items())


def test_finished_run_has_nothing_left(whole: tuple[Path, list[StepReport]]) -> None:
    folder, _ = whole
    assert list(_trainer(tiny.recipe(), folder).run()) == []
    assert sorted(p.name for p in folder.iterdir()) == [
        *("0_warm_up", "1_full", "mixture.json", "run.lock", "state", "telemetry.jsonl")
    ]


def test_changed_recipe_is_refused_by_field(whole: tuple[Path, list[StepReport]]) -> None:
    stages = tiny.recipe().stages
    longer = stages[0].model_copy(update={"steps": 4})
    for changed, field in (
        (tiny.recipe(seed=5), r"recipe\.seed was 0, now 5"),
        (tiny.recipe(stages=(longer, stages[1])), r"recipe\.stages\.0\.steps was 3, now 4"),
    ):
        with pytest.raises(ValueError, match=field):
            _trainer(changed, whole[0])


def test_warm_up_moved_the_connector_alone(whole: tuple[Path, list[StepReport]]) -> None:
    recipe = tiny.recipe()
    start = dict(set_up(recipe).learner.model.named_parameters())
    after = load_file(next((whole[0] / "0_warm_up").glob("*.safetensors")))
    moved = {name for name, value in after.items() if not torch.equal(value.float(), start[name])}
    assert {name.split(".")[0] for name in moved} == {"connector"}


def test_telemetry_is_cut_at_the_resumed_step(whole: tuple[Path, list[StepReport]], tmp_path: Path) -> None:
    file = tmp_path / "telemetry.jsonl"
    lines = (whole[0] / "telemetry.jsonl").read_text().splitlines()
    file.write_text("\n".join([*lines[:5], lines[5][:20]]), encoding="utf-8")  # killed while writing
    assert len(list(read_reports(tmp_path))) == 5
    StepFile(file, StepReport, keep_until=(1, 1)).close()
    assert file.read_text().splitlines() == lines[:4]
    file.write_text(lines[0][:9] + "\n" + lines[1], encoding="utf-8")
    with pytest.raises(ValueError, match=r"telemetry\.jsonl:1 is no report of a step"):
        list(read_reports(tmp_path))
