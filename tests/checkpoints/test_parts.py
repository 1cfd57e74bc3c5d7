"""Parts of models: saved alone, taken out of whole checkpoints, laid over others, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.surgery import load_part, save_part
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tests.checkpoints.test_round_trip import other_member
from tests.engine import tiny


def other_weights() -> VLM:
    model = VLM(tiny.family().model)
    initialise(model, 99)
    return model


def equal(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("part", ["vision", "connector", "decoder"])
def test_a_part_and_nothing_else(part: str, tmp_path: Path) -> None:
    save_part(tiny.model(), part, tmp_path)  # type: ignore[arg-type]
    model, untouched = other_weights(), other_weights()
    identities = [id(parameter) for parameter in model.parameters()]
    load_part(model, part, tmp_path)  # type: ignore[arg-type]
    for name in ("vision", "connector", "decoder"):
        assert equal(getattr(model, name), getattr(tiny.model() if name == part else untouched, name))
    assert [id(parameter) for parameter in model.parameters()] == identities, "an optimizer may hold them"


@pytest.mark.parametrize("layout", ["tessera", "official"])
def test_out_of_a_whole_checkpoint(layout: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer(), layout)  # type: ignore[arg-type]
    model = other_weights()
    load_part(model, "decoder", tmp_path)
    assert equal(model.decoder, tiny.model().decoder) and not equal(model.vision, tiny.model().vision)


def test_bare_released_folders(tmp_path: Path) -> None:
    """InternViT alone has no `vision_model.`, a language model alone no `language_model.`."""
    save_checkpoint(tmp_path, tiny.model(), tiny.family(), tiny.tokenizer(), "official")
    for part, prefix in (("vision", "vision_model."), ("decoder", "language_model.")):
        with ShardReader(tmp_path) as reader:
            keys = [key for key in reader.files if key.startswith(prefix)]
            tensors = {key.removeprefix(prefix): reader.tensor(key) for key in keys}
        bare = tmp_path / part
        bare.mkdir()
        save_file(tensors, bare / "model.safetensors")
        model = other_weights()
        load_part(model, part, bare)  # type: ignore[arg-type]
        assert equal(getattr(model, part), getattr(tiny.model(), part))


def test_nothing_of_the_part_is_an_error(tmp_path: Path) -> None:
    save_file({"head.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"no key belongs to the part 'decoder' .*'head.weight'"):
        load_part(tiny.model(), "decoder", tmp_path)


def test_lies_are_named_and_change_nothing(tmp_path: Path) -> None:
    save_part(tiny.model(), "vision", tmp_path / "vision")
    model = other_weights()
    with pytest.raises(ValueError, match="holds the part 'vision', not 'decoder'"):
        load_part(model, "decoder", tmp_path / "vision")
    different, family = other_member()
    with pytest.raises(ValueError, match=r"vision\.\w+ = .* but the model has"):
        load_part(different, "vision", tmp_path / "vision")
    save_checkpoint(tmp_path / "whole", different, family, tiny.tokenizer())
    with pytest.raises(ValueError, match=r"decoder\.\w+ = .* but the model has"):
        load_part(model, "decoder", tmp_path / "whole")
    with pytest.raises(ValueError, match="choose one of vision, connector, decoder"):
        load_part(model, "ears", tmp_path / "vision")  # type: ignore[arg-type]
    assert equal(model, other_weights())
