"""`tessera features`, `probe` and `segment` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors import safe_open

import tessera
from tessera.cli.main import main
from tessera.playground.labelled import PIXELS, draw_masked, draw_thing


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "b.png"]
    for seed, name in enumerate(names):
        draw_thing(seed, (96, 64))[0].save(name)
    return names


def test_features_are_written_and_shown(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [
        "--layers",
        "2",
        "-1",
        "--size",
        "own",
        "--fit",
        "pad",
        "-o",
        "f.safetensors",
        "--page",
        "f.html",
    ]
    assert main(["features", *pictures, *wanted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"][1] == {"picture": "b.png", "shape": [8, 12, 192]}
    with safe_open("f.safetensors", "pt") as file:
        assert file.metadata()["1"] == "b.png" and file.metadata()["model"] == "scale_vision"
        found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    direct = tessera.load_vision()(pictures, size=(64, 96), layers=(2,))
    assert torch.equal(found["layer_2/1"], direct.layers[2][1])
    assert torch.equal(found["layer_-1/0"], direct.patches[0]) and torch.equal(
        found["pooled/1"], direct.pooled[1]
    )
    assert Path("f.html").read_text(encoding="utf-8").count("data:image/png") >= 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["features", "no.png"], "PICTURES no.png: no such file"),
        (["features"], "PICTURES: none given"),
        (["features", "a.png", "--size", "big"], "--size 'big': give a side"),
        (
            ["features", "a.png", "--size", "50"],
            "size 50 x 50 (height x width) is no multiple of the patch, 8",
        ),
        (["features", "a.png", "--layers", "9"], "layers (select_layer) = 9: this ViT has states 0..6"),
        (["features", "a.png", "--layers"], "--layers: none given; name some"),
        (["features", "a.png", "-o", "no/f.safetensors"], "f.safetensors: No such file or directory; name"),
        (["features", "a.png", "--model", "InternViT-6B"], "not in the catalogue; did you mean"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], said: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_probe_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["probe", "--drawn", "60", "--batch", "20", "--augment", "none", "--epochs", "2", "--to", "p"]
    assert main([*words, "--shots", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pictures"] == 15 and told["classes"] == 30 and len(told["epochs"]) == 2
    assert told == json.loads(Path("p/result.json").read_text(encoding="utf-8"))
    assert told["few_shot"][0]["shots"] == 1 and 0 <= told["few_shot"][0]["acc1"] <= 100
    assert "most often taken for" in Path("p/page.html").read_text(encoding="utf-8")
    assert main([*words, "--epochs", "0", "--start", "p", "--to", "again"]) == 0
    assert f"acc1 {told['acc1']:.1f} %" in capsys.readouterr().out
    assert main([*words, "--seed", "1"]) == 2
    assert "p holds a probe of other settings" in capsys.readouterr().err
    assert main(["probe"]) == 2
    assert "DATA, --drawn: give one of them" in capsys.readouterr().err


def test_segmentation_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a folder as ADE20K's: trained, measured again, and pictures whose pixels are numbers of classes."""
    monkeypatch.chdir(tmp_path)
    for part, seeds in (("training", range(6)), ("validation", range(6, 8))):
        for kind in ("images", "annotations"):
            Path("data", kind, part).mkdir(parents=True)
        for seed in seeds:
            image, mask = draw_masked(seed, (72, 64))
            image.save(f"data/images/{part}/{seed}.png")
            mask.point(lambda value: value + 1).save(f"data/annotations/{part}/{seed}.png")
    words = ["segment", "train", "data", "--crop", "64", "--steps", "12", "--batch", "4", "--rate", "0.01"]
    assert main([*words, "--to", "s"]) == 2
    assert "--classes '': give their number, 2 to 255" in capsys.readouterr().err
    Path("data/classes.txt").write_text("\n".join(PIXELS))
    assert main([*words, "--to", "s", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (
        told["pixels"] == 2 * 72 * 64 and len(told["losses"]) == 12 and told["classes"][1]["name"] == "circle"
    )
    assert 0 < told["miou"] < told["aacc"] <= 100
    assert main(["segment", "evaluate", "data", "--head", "s", "--json", "--page", "e.html"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["miou"] == pytest.approx(told["miou"], abs=0.5)
    assert Path("e.html").read_text(encoding="utf-8").count("data:image/png") == 6
    assert main(["segment", "predict", "data/images/validation", "--head", "s", "-o", "p"]) == 0
    capsys.readouterr()
    seen = PIL.Image.open("p/6.png")
    assert seen.mode == "P" and seen.size == (72, 64) and max(seen.getdata()) < len(PIXELS)
    for mistake, said in (
        (["segment", "evaluate", "data", "--head", "data"], "data holds no segmenter.json"),
        (["segment", "evaluate", "data", "--head", "s", "--classes", "9"], "the data have 9, the head 6"),
        (["segment", "predict", "p", "p", "--head", "s"], "two have one name"),
        (
            [*words, "--preset", "upernet", "--layers", "1"],
            "layers = (1,): the head 'upernet' reads 4",
        ),
    ):
        assert main(mistake) == 2
        assert said in capsys.readouterr().err
