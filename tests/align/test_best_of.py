"""Answers chosen among candidates: what is asked, shared, counted and refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import tessera
from tessera.align.critics.critic import Judged
from tessera.align.prompts import PROMPTS
from tessera.align.test_time.model import SelectingModel
from tessera.align.test_time.remembered import RememberingCritic
from tessera.chat.message import Conversation, ask
from tessera.engine.request import ChatInput
from tessera.engine.sampling.options import Sampling
from tessera.scoring.selection.responses import CandidateResponse, choose, read_answer
from tessera.scoring.selection.rule import SelectionRule
from tests.engine import tiny
from tests.serve.served import nano

QUESTION = "how many circles are there"
WARM = {"temperature": 1.2, "max_new_tokens": 12, "seed": 3}


class LengthCritic:
    """Longer is better; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Conversation, list[str]]] = []

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        self.asked.append((conversation, list(responses)))
        return [Judged(len(response) / 100, (0.5, len(response) / 50)) for response in responses]


@pytest.fixture
def model() -> SelectingModel:
    return SelectingModel(nano().loaded)


def test_the_best_of_many(model: SelectingModel) -> None:
    critic = LengthCritic()
    found = model.best_of(QUESTION, tiny.picture(1, 60, 30), critic=critic, n=5, **WARM)
    ((asked, texts),) = critic.asked
    assert [one.text for one in found.candidates] == texts and len(set(texts)) > 1
    assert found.response == max(texts, key=len) and found.index == texts.index(found.response)
    assert found.candidates[0].steps == (0.5, len(texts[0]) / 50)
    assert asked.messages[-1].role == "user" and len(asked.media) == 1
    assert PROMPTS["en_v2"].replace("{question}", QUESTION) in asked.messages[-1].text
    assert found.tokens == sum(one.tokens for one in found.candidates) and str(found) == found.answer
    assert 0 < max(one.seconds or 0 for one in found.candidates) <= found.seconds and found.critic_seconds > 0
    told = found.as_json()
    assert told["answer"] == found.answer and len(told["candidates"]) == 5 and told["prompt_tokens"]


def test_prompt_and_pictures_are_computed_once(model: SelectingModel) -> None:
    picture = tiny.picture(1, 60, 30)
    found = model.majority(QUESTION, picture, n=8, ignore_eos=True, **WARM)
    stats, size = model.engine.loop.stats(), model.engine.limits.block_size
    tail = (found.prompt_tokens - 1) % size + 1
    assert stats.picture_misses == 3, "each tile went through the ViT once"
    assert stats.reused_tokens == 7 * (found.prompt_tokens - tail) > 7 * 400


def test_candidates_are_those_of_single_calls(model: SelectingModel) -> None:
    """The first is the greedy answer; the others are what `chat` says with their seeds."""
    found = model.majority(QUESTION, n=4, prompt=None, top_p=0.9, **WARM)
    seeds = [one.seed for one in Sampling(seed=3).several(4)]
    alone = [model.chat(QUESTION, temperature=0.0, max_new_tokens=12).whole]
    alone += [model.chat(QUESTION, top_p=0.9, **{**WARM, "seed": seed}).whole for seed in seeds[1:]]
    assert [one.text for one in found.candidates] == alone and len(set(seeds)) == 4
    drawn = model.majority(QUESTION, n=4, prompt=None, greedy_first=False, top_p=0.9, **WARM)
    assert drawn.candidates[0].text == model.chat(QUESTION, top_p=0.9, **WARM).whole
    assert [one.text for one in drawn.candidates[1:]] == alone[1:]


def test_votes_by_log_probability_and_by_critic(model: SelectingModel) -> None:
    found = model.majority(QUESTION, n=4, vote="logprob", ties="logprob", **WARM)
    assert all(one.logprob is not None and one.logprob < 0 for one in found.candidates)
    assert found.why.endswith("of the weight") and sum(found.weights) > 0
    found = model.majority(QUESTION, n=4, vote="critic", critic=LengthCritic(), **WARM)
    assert all(one.score is not None for one in found.candidates)
    plain = model.majority(QUESTION, n=2, **WARM)
    assert all(one.logprob is None and one.score is None for one in plain.candidates)


def test_what_can_not_be(model: SelectingModel) -> None:
    talk: ChatInput = Conversation((ask(QUESTION),))
    for words, told in (
        ({"n": 0}, "n = 0: give the number of candidates"),
        ({"n": 2.0}, "n = 2.0: give"),
        ({"temperature": 0}, "temperature = 0: all candidates would be alike"),
        ({"do_sample": False}, "temperature = 0: all candidates would be alike"),
        ({"prompt": "en_v9"}, "prompt_version 'en_v9' is unknown"),
        ({"vote": "critic"}, "critic = None: majority by score needs one"),
        ({"vote": "most"}, "vote = 'most': give one of count"),
        ({"temprature": 1.0}, "temprature"),
    ):
        with pytest.raises(ValueError, match=told):
            model.majority(QUESTION, **words)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prompt = 'en_v2': messages carry their own; give prompt=None"):
        model.majority(talk)
    assert model.majority(talk, prompt=None, n=2, **WARM).candidates
    assert model.majority(QUESTION, n=1, temperature=0.0, max_new_tokens=4).index == 0


def test_long_answers_as_far_as_there_is_room(model: SelectingModel) -> None:
    """4,096 tokens are usual; the nano model has no more places, and its prompt takes some."""
    longest = model.family.model.decoder.longest_context
    words = "red " * (longest // 4)
    found = model.majority(words, n=1, ignore_eos=True, temperature=1.0, prompt=None, end_loops=True)
    assert found.candidates[0].finish in ("length", "repetition")
    assert found.tokens <= longest - found.prompt_tokens < 4096


def test_scores_outlive_an_interruption(tmp_path: Path) -> None:
    """What was rated is kept; a line that was torn, or that holds something else, is rated again."""
    file, inner, opened = tmp_path / "scores", LengthCritic(), list[int]()

    def opening() -> LengthCritic:
        opened.append(1)
        return inner

    talks = [Conversation((ask(text),)) for text in ("one", "two")]
    first = RememberingCritic(opening, file, "critic")
    assert not opened, "it is opened when it is needed"
    scores = [first.score(talk, ["a", "bb"]) for talk in talks]
    file.write_bytes(file.read_bytes()[:-20] + b'\n"else"\n')
    again = RememberingCritic(opening, file, "critic")
    assert [again.score(talk, ["a", "bb"]) for talk in talks] == scores and len(inner.asked) == 3
    third = RememberingCritic(opening, file, "critic")
    assert [third.score(talk, ["a", "bb"]) for talk in talks] == scores and len(inner.asked) == 3
    third.score(talks[0], ["bb", "a"])
    RememberingCritic(opening, file, "another").score(talks[0], ["a", "bb"])
    assert len(inner.asked) == 5, "other responses and other critics have scores of their own"


def test_load_gives_such_a_model() -> None:
    found = tessera.load()
    assert isinstance(found, SelectingModel) and isinstance(found, tessera.ChatModel)


@pytest.mark.parametrize(
    ("response", "version", "answer"),
    [
        ("two and three.\nAnswer: \\boxed{5}", None, "5"),
        ("two and three.\nThe answer is: 5", None, "5"),
        ("Answer: 4?\nNo. Final answer: 5", None, "5"),
        ("<think>Answer: 4</think>\n\n7", None, "7"),
        ("答案：5", None, "5"),
        ("a cat", None, "a cat"),
        ("", None, None),
        ("<think>", None, "<think>"),
        ("2 red.\n3 blue.\nFinal answer: 5", "en", "5"),
        ("5", "en", None),
        ("Two are red, three blue.\nAnswer: \\boxed{\\frac{1}{2}}", "en_v2", "\\frac{1}{2}"),
        ("The cat is left of it.\nAnswer: \\boxed{B}", "en_v2_mc", "B"),
        ("short", "en_v2", None),
        ("\\boxed{5}", "en_v2", "5"),
        ("<think>so 4</think>\n\n\\boxed{5}", "en", "5"),
    ],
)
def test_answers_of_responses(response: str, version: str | None, answer: str | None) -> None:
    found = choose([CandidateResponse(response)], version, SelectionRule())
    assert found.candidates[0].answer == answer and bool(found.candidates[0].fault) == (answer is None)
    assert found.answer == (response.strip() if answer is None else answer)
    assert found.why == ("1 of 1 votes" if answer else "no candidate has an answer")


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(ValueError, match="prompt_version 'x' is unknown"):
        read_answer("5", "x")
