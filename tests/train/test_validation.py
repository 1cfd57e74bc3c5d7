"""The loss on records that are held out: measured on the way, the same each time, and without effect."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.main import main
from tessera.records.export import write_dataset
from tessera.train.loop import Trainer
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tests.train import tiny


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> str:
    written = write_dataset(tmp_path_factory.mktemp("val"), {"shapes": 1.0}, 12, 5, (64, 64), 1, 2)
    return str(written.meta)


def _recipe(held_out: str, **changes: object) -> Recipe:
    given = {"validation": (held_out,), "validate_every": 2, "validation_packs": 2}
    first, second = tiny.recipe().stages
    return tiny.recipe(stages=(first, second.model_copy(update=given)), **changes)


def test_the_held_out_loss_is_measured_and_changes_nothing(held_out: str, tmp_path: Path) -> None:
    """Files that `data build --val` wrote were used by nothing."""
    recipe = _recipe(held_out)
    reports = list(Trainer(set_up(recipe), tmp_path / "with").run())
    plain = list(Trainer(set_up(tiny.recipe()), tmp_path / "without").run())
    assert [r.loss for r in reports] == [r.loss for r in plain]
    measured = [r.validation_loss for r in reports]
    assert [value is not None for value in measured] == [False] * 3 + [False, True, False, True, True]
    assert all(math.isfinite(value) for value in measured if value is not None)
    # Another seed of the run, which learns nothing else, meets the same packs.
    setups = [set_up(_recipe(held_out, seed=seed)) for seed in (0, 9)]
    first, second = ([pack.ids.tolist() for pack in setup.validation_batches(1)] for setup in setups)
    assert first == second and len(first) == 2


def test_a_run_may_begin_to_measure_when_it_goes_on(held_out: str, tmp_path: Path) -> None:
    run = Trainer(set_up(tiny.recipe()), tmp_path).run()
    for _ in range(6):
        next(run)
    run.close()
    assert [r.validation_loss for r in Trainer(set_up(_recipe(held_out)), tmp_path).run()][-1] is not None


def test_faults_of_held_out_records_stop_the_run_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"a": {"annotation": "a.jsonl"}}')
    with pytest.raises(ValueError, match=r"no file .*a\.jsonl"):
        set_up(_recipe(str(tmp_path / "meta.json")))


def test_start_takes_names_as_chat_does(capsys: pytest.CaptureFixture[str]) -> None:
    """A name was taken for a folder that is missing."""
    assert main(["train", "fine_tune", "--start.checkpoint", "InternVL9-9B"]) == 2
    assert "InternVL9-9B" in (told := capsys.readouterr().err) and "catalogue" in told or "choose" in told
    assert ChatLearner.start(Start(checkpoint=str(shipped_folder())), 0).family.name
