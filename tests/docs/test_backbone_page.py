"""The page about InternViT as a backbone: its Python and its commands run."""

from __future__ import annotations

from pathlib import Path

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


def test_commands_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(PAGE):
        if words[1] == "features":
            assert main(["3" if word == "12" else word for word in words[1:]]) == 0
    assert Path("features.html").is_file()
