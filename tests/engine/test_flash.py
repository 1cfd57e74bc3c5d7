"""Flash models: the parts against their published definition, the keys, and prompts of two lengths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import tessera
from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, ask
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.chat_model import ChatModel
from tessera.engine.reference import generate_slowly
from tessera.engine.resolution.looker import TileLooker, looking
from tessera.engine.sampling.options import Sampling
from tessera.families.catalogue import fresh
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.resolution.config import ResolutionConfig
from tessera.models.resolution.forms import choose_coarse, connect_forms
from tessera.models.vlm import VLM
from tests.engine import tiny

WIDTH, FINE, COARSE = 16, 4, 1


def _family(**rule: float) -> Family:
    family = fresh("nano_flash", tiny.tokenizer())
    resolution = ResolutionConfig.model_validate({"absolute_threshold": 0.0, **rule})
    return family.model_copy(update={"model": family.model.model_copy(update={"resolution": resolution})})


def _model(family: Family) -> VLM:
    model = VLM(family.model).eval()
    initialise(model, 4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("router.", "coarse.")):
                parameter.normal_(0, 0.6)
        model.decoder.lm_head.weight.mul_(8.0)
    return model


class _Published(nn.Module):
    """The released parts by their definition, with PyTorch's own layers, under the released names."""

    def __init__(self) -> None:
        super().__init__()
        merged, out = WIDTH * 16, 32
        self.mlp2 = nn.Sequential(
            *(nn.LayerNorm(merged), nn.Linear(merged, 2 * out), nn.GELU(), nn.Dropout(0.1)),
            *(nn.Linear(2 * out, 2 * out), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * out, out)),
        )
        self.pooling_before_gating = nn.Module()
        self.pooling_before_gating.query_token = nn.Parameter(torch.zeros(1, WIDTH))
        self.gating = nn.Module()
        self.gating.gate = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2))
        for number in range(1, 5):
            pooling = self.pooling_before_gating
            pooling.add_module(f"attn{number}", nn.MultiheadAttention(WIDTH, 16, batch_first=True))
            pooling.add_module(f"norm{number}", nn.LayerNorm(WIDTH))
            inner = nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * WIDTH, WIDTH)
            self.gating.add_module(
                f"block{number}", nn.Sequential(*inner, nn.Dropout(0.1), nn.LayerNorm(WIDTH))
            )

    def chances(self, states: torch.Tensor) -> torch.Tensor:
        """Probabilities [N, 2] of states [N, P, D]: attention 1, then 2 three times."""
        pooling, x = self.pooling_before_gating, None
        query = pooling.query_token[None].expand(len(states), 1, -1)
        for number in (1, 2, 2, 2):
            x, _ = pooling.get_submodule(f"attn{number}")(query, states, states)
            query = pooling.get_submodule(f"norm{number}")(x)
        x = query[:, 0]
        for number in range(1, 5):
            x = x + self.gating.get_submodule(f"block{number}")(x)
        return self.gating.gate(x).softmax(-1)

    def coarse(self, states: torch.Tensor) -> torch.Tensor:
        """A token of four by four patches, row by row."""
        side = int(states.shape[1] ** 0.5)
        grid = states.view(len(states), side // 4, 4, side // 4, 4, -1).transpose(2, 3)
        return self.mlp2(grid.reshape(len(states), -1, 16 * states.shape[-1]))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, VLM]:
    family = _family(relative_threshold=0.4)
    model = _model(family)
    return save_checkpoint(tmp_path / "flash", model, family, tiny.tokenizer(), "official"), model


def test_the_parts_are_the_published_ones(saved: tuple[Path, VLM]) -> None:
    folder, ours = saved
    theirs = _Published().eval()
    stored = load_file(folder / "model.safetensors")
    own = {key: stored[key] for key in theirs.state_dict()}
    theirs.load_state_dict(own)
    known = (
        "vision_model.",
        "mlp1.",
        "language_model.",
        *(f"{name}." for name, _ in theirs.named_children()),
    )
    assert all(key.startswith(known) for key in stored)
    states = torch.randn(3, 16, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        chance = ours.get_submodule("router")(states).softmax(-1)
        torch.testing.assert_close(chance, theirs.chances(states), rtol=0, atol=1e-5)
        mixed = connect_forms(ours, states, (True, False, True))
        torch.testing.assert_close(torch.stack(mixed[::2]), theirs.coarse(states[::2]), rtol=0, atol=1e-5)
        torch.testing.assert_close(mixed[1], ours.connector(states)[1], rtol=0, atol=1e-6)


def test_published_folders_open_and_go_round(saved: tuple[Path, VLM]) -> None:
    folder, model = saved
    config = json.loads((folder / "config.json").read_text())
    assert config["flash_mode"] is True and config["flash_relative_threshold"] == 0.4
    opened = load_checkpoint(folder)
    resolution = opened.family.model.resolution  # type: ignore[attr-defined]
    assert (resolution.relative_threshold, resolution.absolute_threshold) == (0.4, 0.0)
    for (name, one), (_, other) in zip(
        opened.model.named_parameters(), model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name
    with pytest.raises(ValueError, match="no resolution router; save in layout 'official' or 'tessera'"):
        save_checkpoint(folder / "hf", model, opened.family, tiny.tokenizer(), "transformers")
    (folder / "config.json").write_text(json.dumps(config | {"flash_relative_threshold": 2}))
    with pytest.raises(ValueError, match="config.json: flash_relative_threshold = 2"):
        load_checkpoint(folder)
    (folder / "config.json").write_text(json.dumps(config | {"flash_mode": False}))
    assert "flash_mode is false but the files hold a router" in " ".join(load_checkpoint(folder).notes)
    (folder / "config.json").write_text(json.dumps(config))
    stored = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in stored.items() if "attn4" not in k}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="lacks weights for 'router.pooling.attn4"):
        load_checkpoint(folder)


def test_thresholds_are_a_quantile_and_a_least_chance() -> None:
    chance = torch.tensor([0.2, 0.5, 0.8, 0.9])
    scores = torch.stack((chance.logit(), torch.zeros(4)), 1)
    for relative, absolute, expected in (
        (0.0, 0.0, [False, True, True, True]),
        (0.5, 0.0, [False, False, True, True]),
        (0.0, 0.85, [False, False, False, True]),
        (1.0, 0.0, [False] * 4),
    ):
        rule = ResolutionConfig(relative_threshold=relative, absolute_threshold=absolute)
        assert choose_coarse(scores, rule).tolist() == expected


def _encoder(model: VLM, family: Family) -> Encoder:
    return looking(model, family.encoder(tiny.tokenizer()))


def test_prompts_have_as_many_tokens_as_the_look_gives() -> None:
    family = _family(relative_threshold=0.4)
    model = _model(family)
    encoder = _encoder(model, family)
    conversation = Conversation((ask("which?", [tiny.picture(2, 60, 30), tiny.picture(3)]),))
    encoded = encoder.encode(conversation, generate=True)
    each = encoded.tile_tokens
    assert set(each) == {FINE, COARSE} and len(each) == len(encoded.tiles)
    assert int((encoded.ids == family.model.image_token_id).sum()) == sum(each)
    assert encoder.prompt_ids(conversation).tolist() == encoded.ids.tolist()
    plain = family.encoder(tiny.tokenizer()).encode(conversation, generate=True)
    assert len(plain.ids) - len(encoded.ids) == (FINE - COARSE) * each.count(COARSE)
    assert np.array_equal(plain.tiles, encoded.tiles)


def test_the_engine_answers_as_the_slow_reference(saved: tuple[Path, VLM]) -> None:
    """Prompts of both lengths together, twice: prefixes and features of others are shared rightly."""
    folder, _ = saved
    model = tessera.load(folder, device="cpu", dtype="float32")
    assert isinstance(model, ChatModel)
    pictures = [tiny.picture(2, 60, 30), tiny.picture(5), tiny.picture(6, 30, 60)]
    talks = [
        ([pictures[0]], "a"),
        ([pictures[1], pictures[0]], "a"),
        ([], "b"),
        (pictures, "c"),
        (pictures, "d"),
    ]
    prompts = [model.prompt(words, shown, max_new_tokens=6) for shown, words in talks]
    sampling = Sampling(max_new_tokens=6)
    for _ in range(2):
        for prompt, done in zip(prompts, model.complete(prompts), strict=True):
            slow = generate_slowly(
                model.loaded.model, model.tokenizer, model.loaded.stop_ids, prompt.encoded, sampling
            )
            assert done.ids == slow.ids
    assert any(COARSE in prompt.encoded.tile_tokens for prompt in prompts)


def test_a_tile_goes_through_the_vit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    family = _family(relative_threshold=0.4)
    model = _model(family)
    seen: list[int] = []
    look = model.look
    monkeypatch.setattr(model, "look", lambda tiles: (seen.append(len(tiles)), look(tiles))[1])
    looker = TileLooker(model)
    tiles = np.stack([np.full((16, 16, 3), shade, np.uint8) for shade in (1, 2, 1, 3)])
    first = looker(tiles)
    assert looker(tiles) == first and seen == [3]
    torch.testing.assert_close(looker.recall(torch.from_numpy(tiles)), look(torch.from_numpy(tiles)))
    small = TileLooker(model, most_bytes=1)
    assert small(tiles) == first and small(tiles) == first
