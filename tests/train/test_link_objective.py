"""Answers with masks: both losses by hand, a run whose model masks, and data that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tessera
from tessera.checkpoints.save import save_checkpoint
from tessera.families.catalogue import fresh
from tessera.imaging.masks.rle import decode_mask
from tessera.models.links.config import LinkConfig, LinkToken, MaskDecoderConfig
from tessera.models.links.maps import picture_map
from tessera.nn.attention.layout import Packed
from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.playground.masks import write_masked
from tessera.recipes.shelf import load_recipe
from tessera.records.faults import DataError
from tessera.train.loop import Trainer
from tessera.train.objective.links.losses import dice_loss, pixel_loss
from tessera.train.objective.links.objective import LinkObjective
from tessera.train.objective.links.targets import LinkBatch
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule
from tests.train import tiny

LINKS = LinkConfig(
    tokens=(LinkToken(token="[SEG]", queries=2, width=16, decoder="masks"),),
    masks=MaskDecoderConfig(width=16, heads=2, layers=1),
)
OBJECTIVE = LinkObjective(tokens=3.0, pixels=2.0, dice=0.5)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A nano model without links, and six drawn pictures."""
    root = tmp_path_factory.mktemp("links")
    save_checkpoint(root / "nano", tiny.model(), fresh("nano_model", tiny.tokenizer()), tiny.tokenizer())
    write_masked(root / "drawn", 6, seed=3)
    return root / "nano", root / "drawn"


def recipe(model: Path, drawn: Path, **changes: object) -> Recipe:
    stage = {
        "name": "masks",
        "steps": 3,
        "rules": (tiny.ALL.model_copy(update={"learning_rate": 3e-3}),),
        "sources": (ManifestSpec(meta=str(drawn / "meta.json")),),
        "packing": PackingConfig(max_tokens=900, max_tiles=64),
        "objective": OBJECTIVE,
    }
    start = Start(checkpoint=str(model), links=LINKS, content_tokens=None)
    settings = {"start": start} | {name: changes.pop(name) for name in ("start",) if name in changes}
    return tiny.recipe(stages=(Stage(**stage | changes),), **settings)


def test_losses_by_hand() -> None:
    logits = torch.tensor([[[0.3, -2.0], [1.0, 4.0]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 0.25], [0.0, 1.0]]], dtype=torch.float64)
    chance = 1 / (1 + np.exp(-logits.numpy()))
    right = target.numpy()
    wanted = -(right * np.log(chance) + (1 - right) * np.log(1 - chance)).mean()
    assert float(pixel_loss(logits, target)) == pytest.approx(wanted, abs=1e-6)
    overlap = 1 - (2 * (chance * right).sum() + 1) / (chance.sum() + right.sum() + 1)
    assert float(dice_loss(logits, target)) == pytest.approx(overlap, abs=1e-6)
    nothing = torch.zeros(1, 2, 2)
    assert float(dice_loss(torch.full((1, 2, 2), -30.0), nothing)) == pytest.approx(0, abs=1e-6)


def test_both_losses_equal_a_slow_pass(places: tuple[Path, Path]) -> None:
    """A pack against its samples alone: every token's logits, every mask by itself, nothing shared."""
    setup = set_up(recipe(*places))
    model, batch = setup.learner.model.eval(), next(setup.loader(0))
    assert isinstance(batch, LinkBatch) and len(batch.pack.lengths) > 1 and len(batch.every) > 4
    first = model.config.decoder.vocab_size
    total = 0.0
    for own in batch.split():
        pack, ids = own.pack, own.pack.ids
        hidden = model(ids, Packed((len(ids),)), pack.positions, pack.tiles)
        logits = model.logits(hidden).log_softmax(-1)
        for place in pack.weights.nonzero()[:, 0].tolist():
            assert ids[place] < first, "slots are not supervised"
            total -= float((pack.weights[place] * logits[place - 1, ids[place]]).detach())
        slots = (ids >= first).nonzero()[:, 0].view(-1, 2)
        assert len(slots) == len(own.targets[0]) and (ids[slots] == torch.tensor([first, first + 1])).all()
        seen = model.look(pack.tiles)
        for pair, target in zip(slots, own.targets[0], strict=True):
            assert (target.tile, target.pixels.shape) == (0, (target.rows * 16, target.columns * 16))
            states = model.links.project(0, hidden[pair])[None]
            found = model.links.masks(states, picture_map(seen, target.columns, target.rows))
            wrong = 2.0 * pixel_loss(found, target.pixels[None]) + 0.5 * dice_loss(found, target.pixels[None])
            total += 3.0 * float(wrong.detach())
    found = OBJECTIVE.loss_sum(model, batch, tiny.CPU)
    assert float(found) == pytest.approx(total, rel=1e-5)
    weight = float(batch.pack.weights.sum()) + 3.0 * len(batch.every)
    assert OBJECTIVE.weight(batch) == pytest.approx(weight)
    found.backward()
    assert model.links.queries.grad.abs().min(1).values.max() > 0
    assert model.vision.embeddings.patch_embedding.weight.grad.abs().max() > 0


def test_targets_are_the_records_masks(places: tuple[Path, Path]) -> None:
    """Shares of coverage: the sum over a target is the mask's area."""
    batch = next(set_up(recipe(*places)).loader(0))
    lines = (places[1] / "masks.jsonl").read_text().splitlines()
    for key, own in zip(batch.pack.keys, batch.targets, strict=True):
        masks = [decode_mask(code) for code in json.loads(lines[int(key.rpartition(":")[2])])["masks"]]
        for target, mask in zip(own, masks, strict=True):
            height, width = target.pixels.shape
            area = float(target.pixels.sum()) * mask.size / (height * width)
            assert area == pytest.approx(mask.sum(), rel=1e-4)


def test_a_run_leaves_a_model_that_masks(places: tuple[Path, Path], tmp_path: Path) -> None:
    trainer = Trainer(set_up(recipe(*places, steps=6)), tmp_path / "run")
    reports = list(trainer.run())
    assert reports[-1].loss < reports[0].loss
    model = tessera.load(tmp_path / "run/0_masks")
    seg = model.tokenizer.token_id("[SEG]")
    answer = model.chat(
        "mask it.", places[1] / "pictures/000000.png", logit_bias={seg: 100.0}, max_new_tokens=3
    )
    assert answer.links[0].result.masks[0].pixels.shape == (64, 64)
    again = recipe(tmp_path / "run/0_masks", places[1], start=Start(checkpoint=str(tmp_path / "run/0_masks")))
    assert torch.equal(set_up(again).learner.model.links.queries, model.loaded.model.links.queries)
    other = LINKS.model_copy(
        update={"tokens": (LINKS.tokens[0].model_copy(update={"queries": 3}),), "masks": LINKS.masks}
    )
    with pytest.raises(ValueError, match="start.links: the checkpoint has link tokens already"):
        set_up(recipe(*places, start=Start(checkpoint=str(tmp_path / "run/0_masks"), links=other)))


def test_what_is_refused(places: tuple[Path, Path], tmp_path: Path) -> None:
    model, drawn = places

    def refused(match: str, **changes: object) -> None:
        with pytest.raises(ValueError, match=match):
            set_up(recipe(model, drawn, **changes))

    refused("the model has no link token for masks; give start.links", start=Start(checkpoint=str(model)))
    refused("packing.over_long = 'split' would part", packing=PackingConfig(over_long="split"))
    refused("drawn sources have no masks; write them with `tessera link draw`", sources=(tiny.PICTURES,))
    frozen = (Rule(pattern=r"^links\.", learning_rate=1e-3), Rule(pattern="."))
    refused(r"start.links: no stage trains the rows of '\[SEG\]'", rules=frozen)
    refused("start.links: a whole model learns them", start=Start(family="nano_model", links=LINKS))
    painting = LinkConfig(tokens=(*LINKS.tokens, LinkToken(token="[GEN]", width=4, decoder="pictures")))
    painting = painting.model_copy(update={"masks": LINKS.masks})
    refused(r"\[GEN\] is for the decoder 'pictures'", start=Start(checkpoint=str(model), links=painting))
    lora = (
        Rule(pattern=r"decoder\.layers\.0\.mlp", lora=LoRAConfig(rank=2, alpha=4), learning_rate=1e-3),
        tiny.ALL,
    )
    with pytest.raises(ValueError, match="lora: adapters hold no link tokens"):
        Trainer(set_up(recipe(model, drawn, rules=lora)), tmp_path / "lora")


def test_faulty_masks_are_told_before_the_first_step(places: tuple[Path, Path], tmp_path: Path) -> None:
    write_masked(tmp_path, 3, seed=1)
    lines = (tmp_path / "masks.jsonl").read_text().splitlines()
    record = json.loads(lines[1])
    lines[1] = json.dumps(record | {"masks": record["masks"][1:]})
    (tmp_path / "masks.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"masks.jsonl:2: masks: bad field \(\d masks, but the answers hold"):
        set_up(recipe(places[0], tmp_path))
    skipping = PackingConfig(max_tokens=900, max_tiles=64, on_fault="skip")
    setup = set_up(recipe(places[0], tmp_path, packing=skipping))
    assert setup.sources[0][0].source.size == 2 and len(setup.report.faults) == 1


def test_two_steps_of_the_recipe(places: tuple[Path, Path], tmp_path: Path) -> None:
    shipped = load_recipe("links/masks")
    change = {
        "steps": 2,
        "sources": (ManifestSpec(meta=str(places[1] / "meta.json")),),
        "packing": PackingConfig(max_tokens=400),
    }
    small = shipped.model_copy(update={"stages": (shipped.stages[0].model_copy(update=change),)})
    trainer = Trainer(set_up(small), tmp_path / "run")
    assert len(list(trainer.run())) == 2
    assert (tmp_path / "run/0_masks/links.safetensors").is_file()
