"""Probes of a vision encoder: against plain torch, gone on with, few shots, data sets, the authors' head."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.imaging.crops import random_crop
from tessera.imaging.squares import to_square
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD, VisionConfig
from tessera.models.heads.probe import make_probe
from tessera.models.initialise import initialise
from tessera.models.vision.internvit import VisionTransformer
from tessera.recipes.backbone.class_data import read_class_data
from tessera.recipes.backbone.published import PROBES
from tessera.runtime.progress import silent
from tessera.train.heads.drawn import HELD_OUT, DrawnThings
from tessera.train.heads.few_shot import few_shot
from tessera.train.heads.labelled import Labelled
from tessera.train.heads.probe import train_probe
from tessera.train.heads.probe_run import ProbeConfig, ProbeRun, load_head
from tessera.train.heads.rows import Rows

TINY = VisionConfig(
    image_size=16,
    patch_size=4,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    initializer_factor=1.0,
)


def encoder(seed: int = 0) -> VisionEncoder:
    module = VisionTransformer(TINY).eval()
    initialise(module, seed, spread=0.5)
    return VisionEncoder("tiny", module, IMAGENET_MEAN, IMAGENET_STD)


@pytest.fixture(scope="module")
def data() -> tuple[Labelled, Labelled]:
    return DrawnThings(0, 48, 64).labelled(), DrawnThings(HELD_OUT, 12, 64).labelled()


Data = tuple[Labelled, Labelled]
FAST = ProbeConfig(batch=16, epochs=2, augment="none", ema=0.5)


def test_steps_are_those_of_plain_torch(data: Data) -> None:
    """Rate by the batch, warm-up and cosine, Nesterov, smoothing, clipping; and the mean of the weights."""
    config = FAST.model_copy(update={"clip": 0.5, "weight_decay": 0.01})
    run = ProbeRun(encoder(), *data, config, None, 16)
    model = nn.Sequential(nn.BatchNorm1d(32, eps=1e-6), nn.Linear(32, 30))
    model.load_state_dict(
        {n.replace("norm", "0").replace("head", "1"): v for n, v in run.probe.state_dict().items()}
    )
    sgd = torch.optim.SGD(model.parameters(), lr=1, momentum=0.9, nesterov=True, weight_decay=0.01)
    mean, rows, seen = model[1].weight.detach().clone(), torch.randn(48, 32), []

    def batch(places: list[int], epoch: int) -> torch.Tensor:
        seen.append(places)
        return rows[places]

    for _ in range(2):
        run.learn(batch, silent)  # type: ignore[arg-type]
    assert sorted(sum(seen[:3], [])) == list(range(48)) and seen[0] != seen[3], "an epoch sees every picture"
    for step, places in enumerate(seen):
        warm, steps = 3, 6
        factor = (
            (step + 1) / (warm + 1)
            if step < warm
            else 0.5 * (1 + math.cos(math.pi * (step - 3) / (steps - 3)))
        )
        sgd.param_groups[0]["lr"] = 0.1 * 16 / 512 * factor
        labels = torch.tensor([data[0].labels[place] for place in places])
        loss = nn.functional.cross_entropy(model(rows[places]), labels, label_smoothing=0.1)
        sgd.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        sgd.step()
        mean = 0.5 * mean + 0.5 * model[1].weight.detach()
    torch.testing.assert_close(run.probe.head.weight, model[1].weight)
    torch.testing.assert_close(run.probe.norm.running_var, model[0].running_var)
    torch.testing.assert_close(run.measured().head.weight, mean)


@pytest.mark.parametrize("augment", ["none", "flip", "published"])
def test_a_run_that_was_stopped_goes_on(augment: str, data: Data, tmp_path: Path) -> None:
    config = FAST.model_copy(update={"epochs": 3, "augment": augment})
    whole = train_probe(encoder(), *data, config, tmp_path / "whole")

    def stop(what: str, done: int, total: int | None) -> None:
        if what.startswith("epoch 2") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_probe(encoder(), *data, config, tmp_path / "half", stop)
    again = train_probe(encoder(), *data, config, tmp_path / "half")
    assert again.history == whole.history and again.guesses == whole.guesses
    for one, two in zip(again.probe.parameters(), whole.probe.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(ValueError, match="holds a probe of other settings, pictures or encoder"):
        train_probe(encoder(), *data, config.model_copy(update={"seed": 1}), tmp_path / "half")


def test_features_are_computed_once_and_go_on(data: Data, tmp_path: Path) -> None:
    train = data[0].pictures
    wanted = Rows(encoder(), "attention", 16).kept(train, None, "learned", silent)
    assert wanted.shape == (48, 17, 16)

    def stop(what: str, done: int, total: int | None) -> None:
        if done > 20:
            raise KeyboardInterrupt

    class Counted(DrawnThings):
        opened: list[int] = []

        def __getitem__(self, place: int) -> PIL.Image.Image:
            self.opened.append(place)
            return super().__getitem__(place)

    many = Counted(0, 300, 64)
    few = encoder()
    with pytest.raises(KeyboardInterrupt):
        Rows(few, "linear", 16).kept(many, tmp_path, "learned", lambda w, d, t: stop(w, d - 256, t))
    Counted.opened.clear()
    rows = Rows(few, "linear", 16).kept(many, tmp_path, "learned", silent)
    assert 0 < min(Counted.opened) <= 256 and len(Counted.opened) < 60
    Counted.opened.clear()
    assert torch.equal(Rows(few, "linear", 16).kept(many, tmp_path, "learned", silent), rows)
    assert not Counted.opened
    assert torch.equal(rows, Rows(few, "linear", 16).kept(many, None, "learned", silent))
    other = Rows(encoder(1), "linear", 16).kept(many, tmp_path, "learned", silent)
    assert not torch.equal(other, rows), "rows of another encoder are not taken"


def test_rows_are_class_token_and_mean_of_the_middle(data: Data) -> None:
    picture = PIL.Image.new("RGB", (48, 32), "red")
    picture.paste("blue", (8, 0, 40, 32))

    class One:
        identity = "one"

        def __len__(self) -> int:
            return 1

        def __getitem__(self, place: int) -> PIL.Image.Image:
            if place:
                raise IndexError(place)
            return picture

        def name(self, place: int) -> str:
            return "one"

    rows = Rows(encoder(), "linear", 16)
    found = encoder()(to_square(picture, 16, "crop"))
    wanted = torch.cat((found.pooled, found.patches.mean((1, 2))), dim=1)
    torch.testing.assert_close(rows.kept(One(), None, "learned", silent), wanted)
    assert torch.equal(rows.drawn(One(), [0, 0], 3)[0], rows.drawn(One(), [0], 3)[0])
    assert not torch.equal(rows.drawn(One(), [0], 3), rows.drawn(One(), [0], 4))


def test_random_parts_keep_their_bounds() -> None:
    """Of a picture whose pixels say where they are: sides, share and place of the part, mirrored or not."""
    height, width = 60, 100
    down, across = np.mgrid[0:height, 0:width]
    image = PIL.Image.fromarray(np.stack((across, down, 0 * down), -1).astype(np.uint8))
    shares, mirrored = [], 0
    for seed in range(200):
        part = np.asarray(random_crop(image, 32, Random(seed))).astype(int)
        wide, high = np.ptp(part[..., 0]) * 32 / 31, np.ptp(part[..., 1]) * 32 / 31
        mirrored += int(part[0, 0, 0] > part[0, -1, 0])
        shares.append(wide * high / (height * width))
        assert 0.6 < wide / high < 1.6
    assert 0.05 < min(shares) < 0.15 and 0.7 < max(shares) < 0.82 and 70 < mirrored < 130
    thin = random_crop(PIL.Image.new("RGB", (1000, 10)), 8, Random(0))
    assert thin.size == (8, 8)


def test_few_shots_learn(data: Data) -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(5, 20, generator=generator)
    labels = [n % 5 for n in range(100)]
    rows = means[labels] + torch.randn(100, 20, generator=generator)
    one, many = (few_shot(rows, labels, rows, labels, shots) for shots in (1, 10))
    assert len(one.acc1) == 3 and one.mean < many.mean and many.mean > 90 and one.deviation is not None
    assert few_shot(rows, labels, rows, labels, 2, draws=1).deviation is None
    with pytest.raises(ValueError, match="shots = 30: class 0 has 20 pictures"):
        few_shot(rows, labels, rows, labels, 30)


def test_the_authors_head_opens(data: Data, tmp_path: Path) -> None:
    """Names of intern_vit_6b_224px_head.pth; and those of the one that pools by attention."""
    head = {
        **{"head.weight": torch.randn(30, 32), "head.bias": torch.randn(30)},
        **{f"norm.{n}": torch.rand(32) for n in ("weight", "bias", "running_mean", "running_var")},
    }
    torch.save(head, file := tmp_path / "head.pth")
    found = train_probe(encoder(), *data, FAST.model_copy(update={"epochs": 0, "start": str(file)}))
    assert torch.equal(found.probe.head.weight, head["head.weight"]) and not found.history
    pooling = make_probe("attention", TINY, 30)
    names = {name.rpartition(".")[0] for name in pooling.state_dict()}
    assert {"attn_pooling.norm1_q", "attn_pooling.cross_attn.q", "attn_pooling.cross_attn.proj"} <= names
    with pytest.raises(ValueError, match="no head there; give a folder of a probe"):
        load_head(pooling, tmp_path / "no.pth")
    with pytest.raises(ValueError, match="lacks 'attn_pooling"):
        load_head(pooling, file)
    with pytest.raises(ValueError, match=r"head.weight has shape \(30, 32\)"):
        load_head(make_probe("linear", TINY, 31), file)


def test_published_settings() -> None:
    linear = PROBES["linear"]
    assert (linear.epochs, linear.warmup_epochs, linear.rate, linear.batch) == (10, 1, 0.1, 1024)
    assert (linear.momentum, linear.weight_decay, linear.label_smoothing) == (0.9, 0, 0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for part, seeds in (("train", range(4)), ("val", range(4, 6))):
        for seed in seeds:
            place = tmp_path / part / f"n{seed % 2}"
            place.mkdir(parents=True, exist_ok=True)
            PIL.Image.new("RGB", (8, 8), (seed, 0, 0)).save(place / f"{seed}.png")
    yield tmp_path


def test_folders_of_classes_and_lists(folder: Path) -> None:
    train, held = read_class_data(folder)
    assert (
        train.names == ("n0", "n1") == held.names and train.labels == (0, 0, 1, 1) and held.labels == (0, 1)
    )
    assert train.pictures[1].getpixel((0, 0)) == (2, 0, 0) and train.pictures.name(1) == "n0/2.png"
    (folder / "train.txt").write_text("n0/0.png 4\nn1/1.png 0\n")
    (folder / "val.txt").write_text("n0/4.png 4\n")
    train, held = read_class_data(folder)
    assert train.labels == (4, 0) and held.labels == (4,) and held.names[4] == "class 4"
    (folder / "val.txt").write_text("n0/9.png 1\n")
    with pytest.raises(ValueError, match=r"val.txt: .*n0/9.png is not there"):
        read_class_data(folder)
    (folder / "val.txt").write_text("n0/4.png one\n")
    with pytest.raises(ValueError, match="val.txt, line 1: 'n0/4.png one' is no path and number"):
        read_class_data(folder)
    with pytest.raises(ValueError, match="neither train/ and val/"):
        read_class_data(folder / "train")
    (folder / "val.txt").unlink()
    (folder / "val" / "n7").mkdir()
    with pytest.raises(ValueError, match="n7: no label is called so"):
        read_class_data(folder)


def test_what_cannot_be_is_told(data: Data) -> None:
    with pytest.raises(ValueError, match="batch = 100: there are 48 pictures"):
        train_probe(encoder(), *data, ProbeConfig(batch=100))
    with pytest.raises(ValueError, match="side = 18 is no multiple of the patch, 4"):
        train_probe(encoder(), *data, ProbeConfig(batch=8, side=18))
    with pytest.raises(
        ValueError, match="ema = 0.998: the mean reaches back over 500 steps .* the run has 60"
    ):
        train_probe(encoder(), *data, ProbeConfig(batch=8, ema=0.998))
    with pytest.raises(ValueError, match="epochs = 0 measures a head that is there"):
        train_probe(encoder(), *data, ProbeConfig(epochs=0))
