"""What requests have in common is computed once: beginnings by block, pictures by content."""

from __future__ import annotations

import copy

import pytest
import torch

from tessera.chat.encoder import Encoded
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.models.vlm import VLM
from tests.engine import tiny

SAMPLING = Sampling(max_new_tokens=6, ignore_eos=True)
WIDE = tiny.picture(2, 60, 30)


class Watched:
    """An engine, and what its model was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: VLM | None = None, **limits: object) -> None:
        self.model = model or tiny.model()
        self.tiles, self.tokens = 0, 0
        see, forward = self.model.see, self.model.forward

        def seeing(tiles: torch.Tensor) -> torch.Tensor:
            self.tiles += len(tiles)
            return see(tiles)

        def going(ids: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
            self.tokens += len(ids)
            return forward(ids, *rest, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(self.model, "see", seeing)
        monkeypatch.setattr(self.model, "forward", going)
        values = EngineLimits.model_validate({"block_size": 4, "guesses_a_step": 0} | limits)
        self.engine = Engine(self.model, tiny.tokenizer(), frozenset(), limits=values)

    def ask(self, *prompts: Encoded, increment: float = 1.0) -> tuple[list[tuple[int, ...]], int, int]:
        """Answers, and how many tiles and tokens went through the model for them."""
        self.tiles = self.tokens = 0
        done = self.engine.generate(prompts, SAMPLING, visual_increment=increment)
        return (
            [each.ids for each in done],
            self.tiles,
            self.tokens - (SAMPLING.max_new_tokens - 1) * len(prompts),
        )


def test_a_second_question_about_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    first, second = tiny.prompt("which is red", WIDE), tiny.prompt("how many", WIDE)
    alone = Watched(monkeypatch).ask(second)[0]
    _, tiles, tokens = watched.ask(first)
    assert (tiles, tokens) == (3, len(first.ids))
    common = next(n for n, pair in enumerate(zip(first.ids, second.ids, strict=False)) if pair[0] != pair[1])
    said, tiles, tokens = watched.ask(second)
    assert said == alone and tiles == 0 and tokens == len(second.ids) - common // 4 * 4
    assert watched.ask(second)[1:] == (0, (len(second.ids) - 1) % 4 + 1), "the last token is always computed"


def test_a_talk_goes_on_from_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that the answer filled are found, too."""
    watched = Watched(monkeypatch)
    prompt = tiny.prompt("how many circles are there")
    (said,), *_ = watched.ask(prompt)
    longer = Encoded(
        ids := torch.tensor([*prompt.ids.tolist(), *said, 5]).int().numpy(),
        (ids * 0).astype("float32"),
        prompt.tiles,
        (),
    )
    assert watched.ask(longer)[2] == len(ids) - (len(ids) - 2) // 4 * 4


def test_the_same_ids_with_other_pictures_or_increments_share_nothing_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    one, other = tiny.prompt("which", tiny.picture(1)), tiny.prompt("which", tiny.picture(7))
    assert one.ids.tolist() == other.ids.tolist()
    before = int((one.ids != tiny.family().model.image_token_id).argmin()) // 4 * 4
    (first,), *_ = watched.ask(one)
    (second,), tiles, tokens = watched.ask(other)
    assert first != second and (tiles, tokens) == (1, len(other.ids) - before)
    (third,), tiles, tokens = watched.ask(one, increment=1 / 4)
    assert third != first and (tiles, tokens) == (0, len(one.ids) - before), "its features are the same"


@pytest.mark.parametrize("size", [4, 16])
def test_requests_that_come_together_share_as_well(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Eight answers to one prompt: one goes ahead, the others take over what it computed.

    With blocks of 16 the one that goes ahead was cut in the middle of a block, before the first tile beyond
    its step; a second one then took that block for free and computed the rest of the prompt once more.
    """
    watched = Watched(monkeypatch, block_size=size)
    prompt = tiny.prompt("which " * 40, WIDE)
    said, tiles, tokens = watched.ask(*[prompt] * 8)
    assert len(set(said)) == 1 and tiles == len(prompt.tiles)
    assert tokens == len(prompt.ids) + 7 * ((len(prompt.ids) - 1) % size + 1)


def test_features_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was used longest ago goes; without a budget nothing is kept."""
    pictures = [tiny.picture(number) for number in range(3)]
    feature = tiny.family().model.tokens_per_tile * tiny.family().model.decoder.hidden_size * 4
    watched = Watched(monkeypatch, block_size=4096, picture_bytes=2 * feature)  # no block is ever full
    assert [watched.ask(tiny.prompt("a", each))[1] for each in pictures[:2] * 2] == [1, 1, 0, 0]
    assert [watched.ask(tiny.prompt("b", pictures[n]))[1] for n in (0, 2, 0, 1)] == [0, 1, 0, 1]
    assert watched.engine.loop.stats().picture_bytes == 2 * feature
    none = Watched(monkeypatch, block_size=4096, picture_bytes=0)
    assert [none.ask(tiny.prompt("a", pictures[0]))[1] for _ in range(2)] == [1, 1]


def test_blocks_that_others_need_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.family().model.decoder
    token = 2 * config.num_key_value_heads * config.head_width * 4 * config.num_hidden_layers
    watched = Watched(monkeypatch, cache_bytes=64 * token)
    prompts = [
        tiny.prompt("which", WIDE),
        tiny.prompt("the red circle is left of the blue", tiny.picture(5, 30, 60)),
    ]
    answers = [watched.ask(prompt)[0] for prompt in prompts]
    again, tiles, tokens = watched.ask(prompts[0])
    assert again == answers[0] and tiles == 0 and tokens > len(prompts[0].ids) // 2


def test_changed_weights_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that outlives a training step must not answer from what the old weights computed."""
    model, prompt = copy.deepcopy(tiny.model()), tiny.prompt("which", WIDE)
    watched = Watched(monkeypatch, model)
    before, *_ = watched.ask(prompt)
    with torch.no_grad():
        model.connector.linear_2.weight.mul_(-1.0)
    after, tiles, tokens = watched.ask(prompt)
    assert after != before and (tiles, tokens) == (3, len(prompt.ids))
    assert after == [Engine(model, tiny.tokenizer(), frozenset()).generate([prompt], SAMPLING)[0].ids]
