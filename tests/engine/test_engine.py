"""The engine against its slow reference, token for token, and its promises about batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.completion import Completion
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tessera.nn.linear import LinearKind
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
SAMPLINGS = {
    "greedy": Sampling(max_new_tokens=24),
    "penalised": Sampling(max_new_tokens=24, repetition_penalty=1.3),
    "warm": Sampling(max_new_tokens=24, temperature=0.8, seed=5),
    "narrow": Sampling(max_new_tokens=24, temperature=1.0, top_k=20, top_p=0.9, seed=6),
    "everything": Sampling(
        max_new_tokens=24, temperature=1.5, top_k=50, top_p=0.95, repetition_penalty=1.1, seed=7
    ),
}


def make_engine(max_batch: int = 64) -> Engine:
    return Engine(tiny.model(), tiny.tokenizer(), STOPS, max_batch)


def slowly(sampling: Sampling) -> list[Completion]:
    prompts = tiny.mixed_prompts()
    return [generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling) for prompt in prompts]


@pytest.mark.parametrize("name", SAMPLINGS)
def test_equals_the_slow_reference(name: str) -> None:
    """Text only, several tiles, several pictures and a clip in one batch."""
    expected = slowly(SAMPLINGS[name])
    assert make_engine().generate(tiny.mixed_prompts(), SAMPLINGS[name]) == expected
    assert len({completion.ids for completion in expected}) > 3, "the prompts must matter for this to test"


def test_each_prompt_may_have_its_own_sampling() -> None:
    """Longest and shortest answers side by side: those that finish early leave the batch."""
    samplings = [
        sampling.model_copy(update={"max_new_tokens": 3 + 5 * i})
        for i, sampling in enumerate([*SAMPLINGS.values(), SAMPLINGS["warm"]])
    ]
    together = make_engine().generate(tiny.mixed_prompts(), samplings)
    for prompt, sampling, completion in zip(tiny.mixed_prompts(), samplings, together, strict=True):
        assert completion == generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling)


def test_neighbours_and_batches_change_nothing() -> None:
    prompts, sampling = tiny.mixed_prompts(), SAMPLINGS["warm"]
    together = make_engine().generate(prompts, sampling)
    assert make_engine(max_batch=2).generate(prompts, sampling) == together
    assert make_engine().generate(prompts[::-1], sampling)[::-1] == together
    assert make_engine().generate(prompts[2:3], sampling) == together[2:3]


def test_seeds_decide_the_answer() -> None:
    prompts = [tiny.mixed_prompts()[1]] * 4
    samplings = [Sampling(temperature=1.0, max_new_tokens=16, seed=seed) for seed in (1, 2, 1, 3)]
    first, second, again, third = make_engine().generate(prompts, samplings)
    assert first == again
    assert len({first.ids, second.ids, third.ids}) == 3


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    make_engine().generate(tiny.mixed_prompts()[:2], SAMPLINGS["warm"])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stop_id_ends_the_answer_and_is_not_part_of_it() -> None:
    prompt, sampling = tiny.mixed_prompts()[1], Sampling(max_new_tokens=12)
    free = make_engine().generate([prompt], sampling)[0]
    assert free.finish == "length" and len(free.ids) == 12
    stop = free.ids[5]
    cut = Engine(tiny.model(), tiny.tokenizer(), frozenset({stop})).generate([prompt], sampling)[0]
    assert cut.finish == "stop"
    assert cut.ids == free.ids[: free.ids.index(stop)]


def test_a_stop_string_ends_the_answer_before_it() -> None:
    prompt = tiny.mixed_prompts()[1]
    free = make_engine().generate([prompt], Sampling(max_new_tokens=30))[0]
    stop = free.text[8:10]
    sampling = Sampling(max_new_tokens=30, stop=("never said", stop))
    cut = make_engine().generate([prompt], sampling)[0]
    assert cut == generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, prompt, sampling)
    assert cut.finish == "stop" and cut.text == free.text[: free.text.index(stop)]
    assert "".join(make_engine().stream(prompt, sampling)) == cut.text


@pytest.mark.parametrize("name", ["greedy", "everything"])
def test_streamed_pieces_are_the_text(name: str) -> None:
    for prompt, expected in zip(tiny.mixed_prompts(), slowly(SAMPLINGS[name]), strict=True):
        assert "".join(make_engine().stream(prompt, SAMPLINGS[name])) == expected.text


def test_a_picture_placeholder_is_never_generated() -> None:
    """A random model would say `<IMG_CONTEXT>` sooner or later; the next step would miss a picture."""
    sampling = Sampling(max_new_tokens=300, temperature=50.0, seed=1)
    ids = make_engine().generate(tiny.mixed_prompts()[:1], sampling)[0].ids
    assert len(set(ids)) > 100
    assert tiny.family().model.image_token_id not in ids


def test_the_vit_runs_once_for_every_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = tiny.mixed_prompts()
    model, seen = tiny.model(), []
    see = model.see
    monkeypatch.setattr(model, "see", lambda tiles: seen.append(len(tiles)) or see(tiles))
    make_engine().generate(prompts, Sampling(max_new_tokens=5))
    assert sum(seen) == sum(len(prompt.tiles) for prompt in prompts)
    assert 1 < max(seen) <= 2, "tiles of several requests go together, as many as a step takes"


def test_progress_counts_prompts() -> None:
    calls: list[tuple[str, int, int]] = []
    make_engine(max_batch=4).generate(
        tiny.mixed_prompts(), Sampling(max_new_tokens=1), lambda *c: calls.append(c)
    )
    assert calls == [("answers", done, 6) for done in range(1, 7)]
    assert make_engine().generate([]) == []


def test_wrong_calls_name_the_remedy() -> None:
    prompts = tiny.mixed_prompts()
    with pytest.raises(ValueError, match="2 entries for 6 prompts: give one"):
        make_engine().generate(prompts, [Sampling()] * 2)
    with pytest.raises(ValueError, match=r"made for 4096 positions: ask for fewer tokens"):
        make_engine().generate(prompts, Sampling(max_new_tokens=4090))
    with pytest.raises(ValueError, match="max_batch = 0"):
        make_engine(max_batch=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_new_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("repetition_penalty", 0.0),
        ("seed", -1),
        ("stop", ("",)),
    ],
)
def test_bad_sampling_names_field_value_and_remedy(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{field} = .*: (give|an empty)"):
        Sampling(**{field: value})
    with pytest.raises(ValueError, match="warmth"):
        Sampling(warmth=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("linears", ["packed", "int8", "int4"])
def test_other_linears_go_the_same_way(linears: LinearKind, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tiny", tiny.model(), tiny.family(), tiny.tokenizer())
    model = load_checkpoint(folder, linears=linears).model
    got = Engine(model, tiny.tokenizer(), STOPS, max_batch=3).generate(
        tiny.mixed_prompts(), SAMPLINGS["greedy"]
    )
    for prompt, done in zip(tiny.mixed_prompts(), got, strict=True):
        assert done == generate_slowly(model, tiny.tokenizer(), STOPS, prompt, SAMPLINGS["greedy"])
