"""A small ViT imitates a large one: the loss by hand, a teacher that nothing changes or keeps, a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.surgery import save_part
from tessera.models.distillation import Distiller, Teacher, TeacherConfig
from tessera.models.initialise import initialise
from tessera.models.vision.internvit import VisionTransformer
from tessera.train.loop import Trainer
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.recipe import Recipe, Stage
from tessera.train.setup import Setup, set_up
from tests.train import tiny

SMALL = tiny.model().config.vision
LARGE = SMALL.model_copy(update={"hidden_size": 24, "num_hidden_layers": 3, "initializer_factor": 1.0})
PIXELS = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.3, 0.4)}


def _vit(seed: int = 4) -> torch.nn.Module:
    """A whole of which `vision` is the part."""
    model = torch.nn.Module()
    model.vision = VisionTransformer(LARGE)
    initialise(model, seed)
    return model.eval()


def _teacher(layers: int = 1, top: int = -1, vit: VisionTransformer | None = None) -> Teacher:
    config = LARGE if vit is None else vit.config
    settings = TeacherConfig(name="large", vision=config, layers=layers, top=top, **PIXELS)
    return Teacher(_vit().vision if vit is None else vit, settings)


def _tiles(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 16, 16, 3), generator=generator, dtype=torch.uint8)


def _recipe(teacher: Path, *, steps: int = 40, **objective: object) -> Recipe:
    stage = Stage(
        name="imitate",
        steps=steps,
        rules=(tiny.ALL.model_copy(update={"learning_rate": 1e-2, "weight_decay": 0.0}),),
        sources=(tiny.PICTURES,),
        packing=tiny.recipe().stages[0].packing,
        objective=DistillationObjective(teacher=str(teacher), **objective),
    )
    return tiny.recipe(stages=(stage,), save_every=10)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return save_part(_vit(), "vision", tmp_path / "large")


@pytest.mark.parametrize(("layers", "top"), [(1, -1), (2, -1), (2, 2), (1, 1)])
def test_distances_by_hand(layers: int, top: int) -> None:
    """Each layer's states through its own projection, token by token, the class token among them."""
    torch.manual_seed(3)
    model = Distiller(SMALL, **PIXELS)
    model.imitate(_teacher(layers, top))
    tiles = _tiles()
    pixels = ((tiles.double() / 255 - torch.tensor(PIXELS["mean"])) / torch.tensor(PIXELS["std"])).float()
    pixels, teacher = pixels.permute(0, 3, 1, 2), _vit().vision
    for tile, found in enumerate(model.distances(tiles)):
        parts = []
        for down in range(layers):
            depth = top % (LARGE.num_hidden_layers + 1)
            wanted = teacher(pixels[tile : tile + 1], depth - down)[0]
            state = model.vision(pixels[tile : tile + 1], SMALL.num_hidden_layers - down)[0]
            mine = model.projection_heads[down](state)
            parts += [1 - (a @ b) / (a.norm() * b.norm()) for a, b in zip(mine, wanted, strict=True)]
        assert torch.allclose(found, torch.stack(parts).mean(), atol=1e-5)


def test_a_twin_is_no_distance_away_and_needs_no_projection() -> None:
    twin = _vit().vision
    model = Distiller(LARGE, **PIXELS)
    model.imitate(_teacher(2, vit=twin))
    model.vision.load_state_dict(_vit().vision.state_dict())
    assert not model.projection_heads
    assert model.distances(_tiles()).abs().max() < 1e-6


def test_the_teacher_is_frozen_and_nobodys_parameter() -> None:
    model, teacher = Distiller(SMALL, **PIXELS), _vit().vision
    before = {name: p.clone() for name, p in teacher.named_parameters()}
    model.imitate(_teacher(vit=teacher))
    states = model.teacher.states(_tiles(), model.vision.like)
    assert not any(state.requires_grad for state in states)
    model.distances(_tiles()).sum().backward()
    assert all(p.grad is None and torch.equal(p, before[name]) for name, p in teacher.named_parameters())
    names = [name for name, _ in model.named_parameters()]
    assert {name.partition(".")[0] for name in names} == {"vision", "projection_heads"}
    assert all(p.grad is not None for p in model.parameters())


def _held_out(setup: Setup) -> float:
    """Mean distance on pictures that no run draws."""
    source = tiny.PICTURES.model_copy(update={"seed": 77})
    stage = setup.recipe.stages[0].model_copy(update={"sources": (source,)})
    other = set_up(setup.recipe.model_copy(update={"stages": (stage,)}))
    with torch.no_grad():
        return setup.learner.model.distances(next(iter(other.loader(0))).tiles).mean().item()


def test_a_run_comes_near_and_leaves_a_vit(large: Path, tmp_path: Path) -> None:
    setup = set_up(_recipe(large))
    trainer = Trainer(setup, tmp_path / "run")
    losses = [report.loss for report in trainer.run()]
    assert losses[-1] < 0.5 * losses[0] and losses[-1] < 0.2
    assert _held_out(setup) < 0.5 * _held_out(set_up(_recipe(large)))
    with ShardReader(trainer.stage_folder(0)) as reader:
        assert all(key.startswith("vision.") for key in reader.files)
    again = ChatLearner.start(Start(family="nano_model", vision=str(tmp_path / "run")), seed=9)
    learned = dict(setup.learner.model.vision.named_parameters())
    assert all(torch.equal(p, learned[name]) for name, p in again.model.vision.named_parameters())


def test_a_stopped_run_goes_on_to_the_bit(large: Path, tmp_path: Path) -> None:
    whole = [r.loss for r in Trainer(set_up(_recipe(large, steps=14)), tmp_path / "whole").run()]
    run = Trainer(set_up(_recipe(large, steps=14)), tmp_path / "stopped").run()
    for _ in range(12):
        next(run)
    run.close()
    rest = [r.loss for r in Trainer(set_up(_recipe(large, steps=14)), tmp_path / "stopped").run()]
    assert rest == whole[-len(rest) :] and len(rest) == 4


def test_texts_weigh_nothing(large: Path) -> None:
    blind = tiny.PICTURES.model_copy(update={"mode": "blind"})
    recipe = _recipe(large)
    stage = recipe.stages[0].model_copy(update={"sources": (blind,)})
    setup = set_up(recipe.model_copy(update={"stages": (stage,)}))
    batch = next(iter(setup.loader(0)))
    assert stage.objective.weight(batch) == 0 == stage.objective.counts(batch).trained
    loss = stage.objective.loss_sum(setup.learner.model, batch, tiny.CPU)
    loss.backward()
    assert loss.item() == 0


def test_what_fits_no_teacher_is_refused(large: Path, tmp_path: Path) -> None:
    other = torch.nn.Module()
    other.vision = VisionTransformer(LARGE.model_copy(update={"patch_size": 8}))
    coarse = save_part(other, "vision", tmp_path / "coarse")
    recipe = _recipe(large)
    second = recipe.stages[0].model_copy(
        update={"name": "more", "objective": DistillationObjective(teacher=str(large), layers=2)}
    )
    for changed, message in (
        (_recipe(coarse), "its patches have 8 pixels a side, those of the small ViT 4"),
        (_recipe(large, layers=3), "layers = 3: the small ViT has 2; compare fewer"),
        (_recipe(large, layers=4), "the teacher has states 0 to 3, and 0 is no layer's"),
        (_recipe(large, teacher_layer=7), "teacher_layer = 7, layers = 1: the teacher has states 0 to 3"),
        (_recipe(tmp_path / "nowhere"), "nowhere"),
        (recipe.model_copy(update={"stages": (*recipe.stages, second)}), "imitate one teacher in one way"),
        (recipe.model_copy(update={"start": Start(decoder="shipped")}), "start.decoder = 'shipped': a ViT"),
    ):
        with pytest.raises(ValueError) as caught:
            set_up(changed)
        assert message in str(caught.value)
