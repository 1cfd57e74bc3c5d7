"""The open pair: what it gives for pictures and texts, and how it meets wrong ones."""

from __future__ import annotations

import io
from copy import copy
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import tessera
from tessera.cli.main import main
from tessera.engine.embedding.embedder import Embedder
from tessera.engine.pair.model import PairModel
from tessera.imaging.squares import to_square
from tessera.models.vlm import normalise
from tessera.nn.attention.layout import Packed
from tests.checkpoints.test_pair_folders import written
from tests.parity import released_pair as released


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> PairModel:
    found = tessera.load(written(tmp_path_factory.mktemp("pair") / "InternVL-14B-224px"))
    assert isinstance(found, PairModel)
    return found


def picture(seed: int, size: tuple[int, int] = (70, 50)) -> PIL.Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def test_it_is_an_embedder(pair: PairModel) -> None:
    assert isinstance(pair, Embedder)
    assert (pair.name, pair.width, pair.modes) == ("InternVL-14B-224px", 24, ("c", "g"))
    assert "QLLaMA 4×32, 6 queries" in repr(pair)
    assert pair.scale() == pytest.approx(pair.model.logit_scale.exp().item())


def test_rows_of_pictures_and_texts(pair: PairModel, tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    packed = io.BytesIO()
    picture(1).save(packed, "PNG")
    sources = [tmp_path / "a.png", packed.getvalue(), picture(2)]
    for mode in ("c", "g"):
        rows = pair.embed_images(sources, mode)
        assert rows.shape == (3, 24) and rows.dtype == torch.float32
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
        alone = torch.cat([pair.embed_images([each], mode) for each in sources])
        torch.testing.assert_close(rows, alone, rtol=1e-5, atol=1e-6)
        raw = pair.embed_images(sources, mode, unit=False)
        torch.testing.assert_close(torch.nn.functional.normalize(raw, dim=1), rows)
    assert pair.embed_images([]).shape == (0, 24) == pair.embed_texts([]).shape
    words = ["a red circle", "", "two squares " * 60]
    texts = pair.embed_texts(words)
    torch.testing.assert_close(texts, torch.cat([pair.embed_texts([each]) for each in words]))
    assert pair.count_tokens(words)[1:] == [len(pair.texts.tokenizer.encode_plain("summarize:")) + 2, 80]
    table = pair.similarity(sources, words)
    torch.testing.assert_close(table, pair.scale() * pair.embed_images(sources) @ texts.T)


def test_the_text_is_closed_by_eos_and_cut_before_it(pair: PairModel) -> None:
    ids = pair.texts.contrast("x " * 200)
    assert (len(ids), ids[0], ids[-1]) == (80, 1051, 1052)
    assert pair.texts.contrast("<|im_end|>").count(1052) == 1
    with torch.no_grad():
        row = pair.model.project_texts(torch.tensor(ids), Packed((80,)))
    torch.testing.assert_close(pair.embed_texts(["x " * 200], unit=False), row)


@pytest.mark.parametrize("size", [(70, 50), (50, 70), (57, 200), (56, 56), (33, 31)])
def test_squares_are_pillows(size: tuple[int, int]) -> None:
    """What torchvision's Resize and CenterCrop give, step by step in Pillow."""
    image, side = picture(3, size), 56
    squeezed = np.asarray(image.resize((side, side), PIL.Image.Resampling.BICUBIC))
    assert np.array_equal(to_square(image, side), squeezed)
    width, height = size
    scaled = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    whole = image.resize(scaled, PIL.Image.Resampling.BICUBIC)
    left, top = round((scaled[0] - side) / 2.0), round((scaled[1] - side) / 2.0)
    expected = np.asarray(whole.crop((left, top, left + side, top + side)))
    assert np.array_equal(to_square(image, side, "crop"), expected)


def test_fit_and_fingerprint(pair: PairModel, tmp_path: Path) -> None:
    image = picture(5, (90, 40))
    square, middle = pair.embed_images([image]), pair.embed_images([image], fit="crop")
    assert (square - middle).abs().max() > 1e-3
    tiles = torch.from_numpy(to_square(image, 56, "crop"))[None]
    assert normalise(tiles, pair.opened.config.mean, pair.opened.config.std, torch.float32).shape == (
        1,
        3,
        56,
        56,
    )
    pair.embed_texts(["weights are packed by use"] * 2)
    folder, other = pair.opened.folder, released.state(vocabulary=1062)
    assert pair.fingerprint == tessera.load(folder).fingerprint  # type: ignore[attr-defined]
    assert pair.fingerprint != tessera.load(folder, dtype="bfloat16").fingerprint  # type: ignore[attr-defined]
    other["vision_model.encoder.layers.1.mlp.fc2.weight"][0, 0] += 1
    changed = tessera.load(written(tmp_path, other))
    assert pair.fingerprint != changed.fingerprint  # type: ignore[attr-defined]


def test_wrong_inputs_are_named(pair: PairModel) -> None:
    with pytest.raises(ValueError, match=r"images\[1\]: .*nowhere.png"):
        pair.embed_images([picture(0), "nowhere.png"])
    with pytest.raises(ValueError, match="mode = 'x': give 'c'"):
        pair.embed_images([picture(0)], mode="x")
    with pytest.raises(ValueError, match="fit = 'wide': give"):
        pair.embed_images([picture(0)], fit="wide")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="texts = 'a cat': give a list of strings"):
        pair.embed_texts("a cat")
    for call in (pair.embed_images, pair.caption):
        for single in ("a.png", Path("a.png"), picture(0)):
            with pytest.raises(ValueError, match="images = .*: give a list of pictures"):
                call(single)  # type: ignore[operator]
    with pytest.raises(ValueError, match="prompt = 5: give a text"):
        pair.caption([picture(0)], prompt=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"caption: min_new_tokens 8 is more than max_new_tokens 3"):
        pair.caption([picture(0)], max_new_tokens=3)
    for asked in ({"prompt": "red " * 5000}, {"max_new_tokens": 50_000}):
        with pytest.raises(ValueError, match="prompt, max_new_tokens: .* was made for .*: shorten"):
            pair.caption([picture(0)], **asked)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="texts holds int at 1"):
        pair.embed_texts(["a cat", 3])  # type: ignore[list-item]


def test_commands_of_chat_models_say_what_it_is(pair: PairModel, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and no talk of Python's attributes; a copy and `hasattr` still work."""
    folder = pair.opened.folder
    assert main(["chat", "--model", str(folder), "hello"]) != 0
    told = capsys.readouterr().err.strip()
    assert "InternVL-14B-224px is a contrastive pair, which does not chat" in told and "\n" not in told
    with pytest.raises(ValueError, match="which has no 'chat': it embeds"):
        _ = pair.chat
    assert not hasattr(pair, "chat") and copy(pair).width == 24
