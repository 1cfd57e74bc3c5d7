"""Classes as means of prompts, against the definition; and the published prompts."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest
import torch

from tessera.engine.embedding.classes import class_weights, classify
from tessera.engine.embedding.prompts import published_prompts, read_prompts
from tests.engine.embedding.fake_pair import FakePair


def test_the_prompts_are_as_many_as_published() -> None:
    counts = {name: len(published_prompts(name)) for name in ("en", "zh", "ja", "ar", "it")}  # type: ignore[arg-type]
    assert counts == {"en": 80, "zh": 80, "ja": 37, "ar": 55, "it": 49}
    assert published_prompts("en")[0] == "a bad photo of a {c}."
    assert published_prompts("zh")[0] == "{c}的照片。"
    with pytest.raises(ValueError, match="language = 'fr'"):
        published_prompts("fr")  # type: ignore[arg-type]


def test_a_class_is_the_normalised_mean_of_normalised_rows() -> None:
    prompts = ("{c}", "red {c}", "blue {c} blue")
    model = FakePair()
    weights = class_weights(model, ["red", "green ball", "{c} blue"], prompts)
    for row, name in zip(weights, ["red", "green ball", "{c} blue"], strict=True):
        mean = torch.stack([model.embed_texts([p.replace("{c}", name)])[0] for p in prompts]).mean(0)
        torch.testing.assert_close(row, mean / mean.norm())


def test_logits_are_a_hundred_times_the_products() -> None:
    model = FakePair()
    weights = class_weights(model, ["red", "green", "blue"], ["{c}"])
    (guess,) = classify(model, [PIL.Image.new("RGB", (4, 4), "green")], weights)
    row = model.embed_images([PIL.Image.new("RGB", (4, 4), "green")])[0]
    shares = (100 * weights @ row).softmax(0)
    assert guess.classes[0] == 1
    assert guess.shares == pytest.approx([shares[n].item() for n in guess.classes], abs=1e-6)
    assert model.fits == {"crop", "square"}


def test_prompts_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a {c}\n\nno place\n")
    with pytest.raises(ValueError, match="prompts: 'no place' has no {c}"):
        read_prompts(file)
    file.write_text('["ein {c}", "noch ein {c}"]')
    assert read_prompts(file) == ("ein {c}", "noch ein {c}")
