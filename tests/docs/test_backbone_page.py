"""The page about InternViT as a backbone: its Python and its commands run."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

import tessera
from tessera.cli.main import main
from tessera.playground.labelled import draw_thing
from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "docs" / "backbone.md"


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("cat.jpg", "dog.jpg")):
        draw_thing(seed, (96, 64))[0].save(name)


def test_python_of_the_page() -> None:
    """On the shipped encoder, whose layers and sides are smaller."""
    first, second = blocks(PAGE, "python")[:2]
    small = second.replace("224", "32").replace("448, 896", "32, 48").replace("12)", "2)")
    code = first.replace('"OpenGVLab/InternViT-300M-448px-V2_5"', "").replace("import tessera\n", "")
    names: dict[str, object] = {"tessera": tessera}
    exec(code, names)
    names["pixels"] = (
        tessera.load_vision()
        .pixels(64)
        .stack(list(tessera.load_vision().pixels(64).of("cat.jpg")), tessera.load_vision().module.like)
    )
    exec(small, names)
    assert names["found"].layers[-4].shape == (1, 8, 8, 192)  # type: ignore[attr-defined]


SHORTER = {
    "probe": ["--drawn", "32", "--batch", "8", "--epochs", "1", "--shots", "1"],
    "train": ["--drawn", "8", "--steps", "2", "--batch", "2"],
    "evaluate": ["--drawn", "8"],
}
"""Put behind what a verb is given."""


def shortened(words: list[str]) -> list[str]:
    """On the shipped encoder, with few pictures and steps."""
    words = words[1:]
    if "--model" in words:
        at = words.index("--model")
        words = words[:at] + words[at + 2 :]
    more = next((more for verb, more in SHORTER.items() if verb in words[:2]), [])
    if more and "--drawn" not in words:
        more = [*more[2:], *(["--crop", "64", "--channels", "8"] if "segment" in words else [])]
    return [*("3" if word == "12" else word for word in words), *more]


def test_commands_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """In order; folders of pictures are drawn before."""
    for number in range(12):
        image, label = draw_thing(number, (64, 64))
        part = Path("pictures", "val" if number > 8 else "train", f"class{label % 2}")
        part.mkdir(parents=True, exist_ok=True)
        image.save(part / f"{number}.png")
        mask = PIL.Image.new("L", (64, 64), 1 + number)
        for kind, one in (("images", image), ("annotations", mask)):
            place = Path("ade", kind, "validation" if number > 8 else "training")
            place.mkdir(parents=True, exist_ok=True)
            one.save(place / f"{number}.png")
    for words in commands(PAGE):
        assert main(shortened(words)) == 0, (words, capsys.readouterr().err)
    assert Path("features.html").is_file() and Path("segmented/cat.png").is_file()
