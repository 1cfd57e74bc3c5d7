"""Segmentation: windows against brute force, views, labels on the disk, schedules, heads, resumed runs."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import PIL.Image
import pytest
import torch
from torch.nn import functional as F

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.models.heads.dense import LinearDense, UperNet
from tessera.recipes.backbone.published import SEGMENTERS
from tessera.scoring.dense.overlap import count_overlap
from tessera.train.heads.dense.masked import read_masked
from tessera.train.heads.dense.measure import measure, overlap, predict
from tessera.train.heads.dense.run import DenseRun, make_segmenter
from tessera.train.heads.dense.saved import OpenSegmenter, open_segmenter, save_segmenter
from tessera.train.heads.dense.settings import DenseConfig
from tessera.train.heads.dense.slide import slide, windows
from tessera.train.heads.dense.views import (
    ViewConfig,
    as_batch,
    asked_size,
    distorted,
    rescaled,
    training_view,
)
from tessera.train.heads.drawn import DrawnMasks
from tessera.train.update.rules import assign
from tests.train.test_probe import TINY, encoder

VIEWS = ViewConfig(crop=16, longest=64)
FAST = DenseConfig(views=VIEWS, window=16, stride=12, steps=4, batch=2, warmup=2, rate=1e-2, save_every=2)


@pytest.mark.parametrize(
    ("height", "width", "side", "stride"),
    [(16, 16, 16, 12), (16, 41, 16, 10), (30, 23, 12, 12), (8, 20, 16, 7)],
)
def test_a_sliding_window_is_the_mean_over_windows(height: int, width: int, side: int, stride: int) -> None:
    """Pixel by pixel: every window that holds it, computed anew."""
    pixels = torch.randn(1, 3, height, width)

    def scores(part: torch.Tensor) -> torch.Tensor:
        """What a pixel gets depends on where in the window it lies."""
        return torch.cat((part.cumsum(2), part.mean((2, 3), keepdim=True).expand_as(part)), dim=1)

    found = slide(scores, pixels, side, stride)
    tops, lefts = (
        sorted({max(min(at, length - side), 0) for at in range(0, max(length - side, 0) + stride, stride)})
        for length in (height, width)
    )
    for row in range(height):
        for column in range(0, width, 3):
            held = [
                scores(pixels[..., top : top + side, left : left + side])[..., row - top, column - left]
                for top in tops
                for left in lefts
                if top <= row < top + side and left <= column < left + side
            ]
            torch.testing.assert_close(found[..., row, column], torch.stack(held).mean(0))
    with pytest.raises(ValueError, match="stride = 20: the stride lies between 1 and the window"):
        list(windows(30, 30, 16, 20))


def test_a_training_view_cuts_picture_and_labels_alike() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 20:50] = 1
    image = PIL.Image.fromarray(np.repeat(100 * labels[..., None], 3, -1))
    config = VIEWS.model_copy(update={"distort": False})
    sizes = set()
    for seed in range(30):
        view = training_view(image, labels, config, Random(seed))
        sizes.add(view.labels.shape)
        assert view.pixels.shape[:2] == view.labels.shape and max(view.labels.shape) <= 16
        agree = (view.pixels[..., 0] > 50) == (view.labels == 1)
        assert agree.mean() > 0.8
    assert (16, 16) in sizes and len(sizes) > 3, "small ratios leave less than a crop"
    view = training_view(image, labels, config, Random(3))
    pixels, wanted = as_batch([view], 20, (0.5,) * 3, (0.25,) * 3)
    assert pixels.shape == (1, 3, 20, 20) and wanted.shape == (1, 20, 20)
    assert not pixels[..., 16:, :].any() and bool((wanted[..., 16:, :] == 255).all())
    changed = distorted(np.full((4, 4, 3), 120, np.uint8), Random(1))
    assert changed.dtype == np.uint8 and changed.shape == (4, 4, 3)


def test_no_class_has_too_much_of_a_crop_if_it_can_be() -> None:
    labels = np.zeros((16, 400), np.uint8)
    labels[:, 195:205] = 1
    config = ViewConfig(crop=16, longest=10**6, ratios=(1, 1), mirror=0, distort=False)
    image = PIL.Image.new("RGB", (400, 16))
    held = [training_view(image, labels, config, Random(seed)).labels.mean() > 0 for seed in range(60)]
    alone = config.model_copy(update={"largest_class": 1.0})
    plain = [training_view(image, labels, alone, Random(seed)).labels.mean() > 0 for seed in range(60)]
    assert sum(held) > sum(plain) + 10


def test_sizes_are_mmsegs() -> None:
    config = ViewConfig()
    assert rescaled((683, 512), 504, 2016) == (672, 504) and rescaled((4000, 400), 504, 2016) == (2016, 202)
    assert asked_size((683, 512), config, 14) == (672, 504) and asked_size((500, 333), config, 14) == (
        770,
        504,
    )


def test_labels_of_ade20k(tmp_path: Path) -> None:
    for part, count in (("training", 2), ("validation", 1)):
        for kind in ("images", "annotations"):
            (tmp_path / kind / part).mkdir(parents=True)
        for number in range(count):
            PIL.Image.new("RGB", (6, 4), (number, 0, 0)).save(tmp_path / "images" / part / f"{number}.jpg")
            labels = np.array([[0, 1, 2, 3, 254, 255]] * 4, np.uint8)
            labels[labels > 253] = 255 if number else 0
            PIL.Image.fromarray(labels).save(tmp_path / "annotations" / part / f"{number}.png")
    names = ("wall", "building", "sky")
    data = read_masked(tmp_path, "training", names)
    assert data[0][1][0].tolist() == [255, 0, 1, 2, 255, 255] == data[1][1][0].tolist()
    assert read_masked(tmp_path, "training", (*names, "tree"), reduce_zero_label=False)[1][1][0, 1] == 1
    with pytest.raises(ValueError, match=r"0.png: class 2 of 2"):
        _ = read_masked(tmp_path, "training", names[:2])[0]
    file = tmp_path / "annotations" / "validation" / "0.png"
    PIL.Image.new("L", (5, 4)).save(file)
    with pytest.raises(ValueError, match="0.png has 5 x 4 pixels, its picture 6 x 4"):
        _ = read_masked(tmp_path, "validation", names)[0]
    PIL.Image.new("RGB", (6, 4)).save(file)
    with pytest.raises(ValueError, match="0.png has mode RGB: annotations are PNG files of one number"):
        _ = read_masked(tmp_path, "validation", names)[0]
    file.unlink()
    with pytest.raises(ValueError, match="0.png is missing"):
        read_masked(tmp_path, "validation", names)


def test_counts_of_a_picture_are_those_of_the_slow_way() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 255], (9, 7)).astype(np.uint8)
    predicted = rng.integers(0, 3, (9, 7)).astype(np.uint8)
    assert overlap(labels, predicted, 3) == count_overlap(
        labels.ravel().tolist(), predicted.ravel().tolist(), 3
    )


def test_the_rate_is_mmcvs_poly() -> None:
    config = DenseConfig(steps=100, warmup=10)
    wanted = []
    for step in range(100):
        poly = 1 - step / 100
        wanted.append(poly * (1 - (1 - step / 10) * (1 - 1e-6)) if step < 10 else poly)
    assert [config.factor(step) for step in range(100)] == pytest.approx(wanted)
    assert DenseConfig(steps=4, warmup=0).factor(0) == 1


def test_published_settings() -> None:
    from tessera.families.internvl.catalogue.vision_models import LARGE_224, SMALL

    linear, upernet, full = (SEGMENTERS[name] for name in ("linear", "upernet", "full"))
    assert linear.states(LARGE_224.config) == (45,) and upernet.states(LARGE_224.config) == (12, 24, 36, 48)
    assert full.states(SMALL.config) == (6, 12, 18, 24) and linear.states(SMALL.config) == (23,)
    assert (full.drop_path, full.layer_decay, full.weight_decay, full.frozen) == (0.4, 0.95, 0.05, False)
    assert {one.rate for one in SEGMENTERS.values()} == {4e-5} and linear.views.crop == 504 == linear.window
    assert (linear.weight_decay, linear.stride, linear.steps, linear.warmup) == (0, 322, 80_000, 1500)


def test_rates_fall_with_the_depth() -> None:
    config = DenseConfig(frozen=False, layer_decay=0.5, weight_decay=0.1, views=VIEWS, window=16, stride=12)
    found = {a.name: a for a in assign(make_segmenter(encoder(), config, 3), config.rules)}
    assert found["vision.layers.1.attn.qkv.weight"].learning_rate == pytest.approx(4e-5 / 2)
    assert found["vision.layers.0.mlp.fc1.weight"].learning_rate == pytest.approx(4e-5 / 4)
    assert found["vision.embeddings.patch_embedding.weight"].learning_rate == pytest.approx(4e-5 / 8)
    assert found["head.classify.weight"].learning_rate == pytest.approx(4e-5)
    assert found["head.classify.weight"].weight_decay == 0.1 and found["head.norm.weight"].weight_decay == 0


def test_upernet_is_the_pyramid_written_out() -> None:
    torch.manual_seed(0)
    net = UperNet(8, 5, 6, beside=1, dropout=0.1).eval()
    maps = [torch.randn(2, 8, 6, 4) for _ in range(4)]
    levels = [net.levels[0](maps[0]), net.levels[1](maps[1]), maps[2], F.max_pool2d(maps[3], 2)]
    assert [one.shape[-2:] for one in levels] == [(24, 16), (12, 8), (6, 4), (3, 2)]

    def up(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)

    pools = [
        up(net.pools[n](F.adaptive_avg_pool2d(levels[3], c)), levels[3]) for n, c in enumerate((1, 2, 3, 6))
    ]
    p4 = net.top(torch.cat((levels[3], *pools), 1))
    p3 = net.laterals[2](levels[2]) + up(p4, levels[2])
    p2 = net.laterals[1](levels[1]) + up(p3, levels[1])
    p1 = net.laterals[0](levels[0]) + up(p2, levels[0])
    outs = [net.smooth[0](p1), net.smooth[1](p2), net.smooth[2](p3), p4]
    wanted = net.classify(net.joined(torch.cat([up(one, outs[0]) for one in outs], 1)))
    scores, second = net(maps)
    torch.testing.assert_close(scores, wanted)
    assert second is None
    second = net.train()(maps)[1]
    assert second is not None and second.shape == (2, 5, 12, 8)
    assert LinearDense(8, 5)(maps)[0].shape == (2, 5, 6, 4)


CONFIGS = {
    "linear": FAST,
    "upernet": FAST.model_copy(update={"head": "upernet", "channels": 8, "beside": 1}),
    "full": FAST.model_copy(
        update={"head": "upernet", "channels": 8, "frozen": False, "drop_path": 0.3, "layer_decay": 0.9}
    ),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_that_was_stopped_goes_on(kind: str, tmp_path: Path) -> None:
    config, data = DenseConfig(**CONFIGS[kind].model_dump()), DrawnMasks(0, 5, 64)
    before = {name: value.clone() for name, value in encoder().module.named_parameters()}
    whole = DenseRun(encoder(), data, config, tmp_path / "whole")
    whole.run()
    half = DenseRun(encoder(), data, config, tmp_path / "half")

    def stop(what: str, done: int, total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half.run(stop)
    again = DenseRun(encoder(), data, config, tmp_path / "half")
    assert again.step == 2
    again.run()
    assert again.losses == whole.losses
    for one, two in zip(again.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, two)
    moved = [not torch.equal(before[name], value) for name, value in whole.model.vision.named_parameters()]
    assert any(moved) == (kind == "full")
    with pytest.raises(ValueError, match="holds a run of other settings, pictures or encoder"):
        DenseRun(encoder(), data, config.model_copy(update={"seed": 1}), tmp_path / "half")


@pytest.mark.parametrize("kind", ["linear", "full"])
def test_saved_and_opened_it_predicts_the_same(kind: str, tmp_path: Path) -> None:
    import tessera
    from tessera.checkpoints.backbone.opening import open_vision

    own = open_vision(None, "cpu", "float32", linears="plain")
    config = DenseConfig(**CONFIGS[kind].model_dump() | {"steps": 1, "layers": ()})
    run = DenseRun(own, DrawnMasks(0, 4, 64), config)
    run.run()
    save_segmenter(tmp_path, OpenSegmenter(own, run.model, config, ("a", "b", "c", "d", "e", "f")), None)
    opened = open_segmenter(tmp_path, device="cpu", dtype="float32")
    image = DrawnMasks(9, 1, 80)[0][0].crop((0, 0, 80, 64))
    wanted = predict(own, run.model, config, image)
    assert wanted.shape == (64, 80) and wanted.dtype == np.uint8
    found = predict(opened.encoder, opened.model, opened.config, image)
    assert (found == wanted).mean() > 0.999
    assert measure(own, run.model, config, DrawnMasks(0, 2, 64)).pixels == 2 * 64 * 64
    if kind == "linear":
        with pytest.raises(ValueError, match="the head learned on another encoder"):
            open_segmenter(tmp_path, str(Path(tessera.__file__).parent / "assets" / "scale_model"))


def test_the_loss_divides_by_all_pixels() -> None:
    """As mmseg does: pixels without a label count as zeros."""
    run = DenseRun(encoder(), DrawnMasks(0, 4, 64), FAST)
    views = [training_view(*run.data[place], FAST.views, rng) for place, rng in run._places(0)]
    pixels, labels = as_batch(views, 16, run.encoder.mean, run.encoder.std)
    run.model.train()
    with torch.no_grad():
        scores, _ = make_segmenter(encoder(), FAST, 6).train()(pixels)
    counted = F.cross_entropy(scores, labels, ignore_index=255, reduction="none")
    assert run._take(0) == pytest.approx(counted.sum().item() / (2 * 16 * 16))


def test_what_cannot_be_is_told() -> None:
    for settings, words in (
        ({"head": "upernet", "layers": (1,)}, "layers = .1,.: the head 'upernet' reads 4"),
        ({"window": 100, "stride": 200}, "stride = 200 is more than window = 100"),
        ({"drop_path": 0.1}, "frozen: drop_path and layer_decay"),
        ({"head": "upernet", "batch": 1}, "batch = 1: UperNet"),
        ({"views": {"crop": 0}}, "views.crop"),
    ):
        with pytest.raises(ValueError, match=words):
            DenseConfig.model_validate(settings)
    with pytest.raises(ValueError, match="views.crop = 504 is no multiple of the patch, 5"):
        DenseConfig().require_patches(5)
    with pytest.raises(ValueError, match=r"layers: 9 is none of this encoder's states 0\.\.2"):
        DenseConfig(layers=(9,)).states(TINY)
    assert math.isclose(DenseConfig(steps=10, warmup=0).factor(5), 0.5) and isinstance(
        encoder(), VisionEncoder
    )
