"""Questions while a model learns: they change nothing, a stopped run goes on, and the best model is kept."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tessera.cli.training.answers import Answerer
from tessera.evaluation.tasks import heldout_items
from tessera.records.export import write_dataset
from tessera.train.loop import Trainer
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.watch.evaluation import EvaluationSpec
from tessera.train.watch.journal import read_answers, read_reports
from tests.train import tiny
from tests.train.pair_data import write_pairs

ASKED = EvaluationSpec(tasks=("clock", "count"), every=2, count=3, most_tokens=4)


def recipe(data: Path | None = None, **changes: object) -> Recipe:
    """Stages that ask; with data they measure, too."""
    update: dict[str, object] = {"evaluation": ASKED}
    if data is not None:
        update |= {"validation": (str(data),), "validate_every": 1, "validation_packs": 1}
    stages = tuple(stage.model_copy(update=update) for stage in tiny.recipe().stages)
    return tiny.recipe(**{"stages": stages} | changes)


def trainer(of: Recipe, folder: Path) -> Trainer:
    setup = set_up(of)
    return Trainer(setup, folder, answer=Answerer(setup.learner, folder))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    list(trainer(recipe(), folder).run())
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def test_answers_change_nothing(whole: Path, tmp_path: Path) -> None:
    """Modes, drop path and random state are those of a run that asks nothing."""
    list(Trainer(set_up(tiny.recipe()), tmp_path).run())
    losses = [[report.loss for report in read_reports(run)] for run in (whole, tmp_path)]
    assert losses[0] == losses[1]
    asked, silent = weights(whole / "1_full"), weights(tmp_path / "1_full")
    assert all(torch.equal(value, silent[name]) for name, value in asked.items())


def test_what_is_told(whole: Path) -> None:
    told = list(read_answers(whole))
    assert [(t.stage_index, t.step) for t in told] == [(0, 1), (0, 2), (1, 1), (1, 3), (1, 4)]
    for report in told:
        assert report.answers.asked == {"clock": 3, "count": 3}
        wanted = [item.question for task in ASKED.tasks for item in heldout_items(task, 3)]
        assert [e.question for e in report.answers.examples] == [q.text for q in wanted]
        assert all((whole / example.picture).is_file() for example in report.answers.examples)
    scores = {(r.stage_index, r.step): r.score for r in read_reports(whole) if r.score is not None}
    assert scores == {(t.stage_index, t.step): t.answers.score for t in told}


def test_a_stopped_run_tells_the_same(whole: Path, tmp_path: Path) -> None:
    run = trainer(recipe(), tmp_path).run()
    assert len(list(islice(run, 6))) == 6  # behind an evaluation, before the state that has it
    run.close()
    list(trainer(recipe(), tmp_path).run())
    assert list(read_answers(tmp_path)) == list(read_answers(whole))


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("clocks"), {"clock": 1.0}, count=8).meta


def test_the_best_model_is_kept(clocks: Path, tmp_path: Path) -> None:
    """Of the last stage that measures: the model of the step with the lowest held-out loss, also when the run
    was stopped in between."""
    steps = trainer(recipe(clocks), tmp_path).run()
    assert len(list(islice(steps, 6))) == 6
    steps.close()
    list(trainer(recipe(clocks), tmp_path).run())
    losses = [r.validation_loss for r in read_reports(tmp_path) if r.stage_index == 1]
    assert len(losses) == 5 and None not in losses
    found, last = weights(tmp_path / "best"), weights(tmp_path / "1_full")
    best_is_last = losses.index(min(losses)) == 4  # type: ignore[type-var]
    assert all(torch.equal(value, last[name]) for name, value in found.items()) is best_is_last


def test_the_best_by_answers_or_none(clocks: Path, tmp_path: Path) -> None:
    list(trainer(recipe(clocks, best="score"), tmp_path / "score").run())
    list(trainer(recipe(clocks, best="no"), tmp_path / "none").run())
    assert (tmp_path / "score" / "best").is_dir() and not (tmp_path / "none" / "best").exists()


def test_questions_of_records(clocks: Path, tmp_path: Path) -> None:
    """The first question of each record, and its answer as it is written."""
    setup = set_up(tiny.recipe())
    answers = Answerer(setup.learner, tmp_path)(
        EvaluationSpec(records=str(clocks), count=4, most_tokens=3), setup.learner.model.eval()
    )
    assert answers.asked == {"records": 4} and 0 <= answers.score <= 1
    for example in answers.examples:
        assert example.expected and "<image>" not in example.question
        assert (tmp_path / example.picture).is_file()


def test_the_prompt_of_a_pair_is_asked(tmp_path: Path) -> None:
    """Preference data as questions: the chosen answer is what is expected."""
    meta = write_pairs(tmp_path / "pairs", 3)
    setup = set_up(tiny.recipe())
    answers = Answerer(setup.learner, tmp_path)(
        EvaluationSpec(records=str(meta), count=3, most_tokens=2), setup.learner.model.eval()
    )
    assert [example.question for example in answers.examples] == ["What is this?"] * 3
    assert all(example.expected.endswith("A.") for example in answers.examples)


def test_nobody_answers_and_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'warm_up': evaluation needs somebody who answers"):
        next(Trainer(set_up(recipe()), tmp_path).run())
    with pytest.raises(ValueError, match=r"give tasks, or records"):
        EvaluationSpec(every=3)
