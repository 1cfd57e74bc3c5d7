"""The extension `selection`: candidates, the chosen one, what is counted, told and refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest

from tessera.align.critics.critic import Judged
from tessera.chat.message import Conversation
from tests.engine import tiny
from tests.serve.served import NAME, Served, nano, says, serving, shows

TALK = says("how many?", shows(tiny.picture(1, 60, 30)))
WARM = {"temperature": 1.5, "seed": 3, "max_tokens": 12}


class LongestCritic:
    """Longer is better. Refuses words of its own, as a critic does with what is too long for it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Conversation, list[str], bytes]] = []

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        if "refuse" in conversation.messages[-1].text:
            raise ValueError("responses[1]: too long for the critic")
        pixels = nano().encoder.encode(conversation, generate=True).tiles.tobytes()
        self.asked.append((conversation, list(responses), pixels))
        return [Judged(len(response) / 100, (0.25, len(response) / 100)) for response in responses]


@pytest.fixture(scope="module")
def critic() -> LongestCritic:
    return LongestCritic()


@pytest.fixture(scope="module")
def rated(critic: LongestCritic) -> Iterator[Served]:
    with serving(critic=critic) as server:
        yield server


def ask(client: openai.OpenAI, selection: dict[str, Any], **options: Any) -> Any:
    given = {**WARM, "messages": TALK, **options}
    return client.chat.completions.create(model=NAME, extra_body={"selection": selection}, **given)


def test_majority_tells_one_choice_and_counts_all(client: openai.OpenAI, served: Served) -> None:
    done = ask(client, {"method": "majority", "n": 5, "texts": True})
    told = done.selection
    assert (told["method"], told["n"], len(done.choices), done.choices[0].index) == ("majority", 5, 1, 0)
    texts = [one["text"] for one in told["candidates"]]
    assert done.choices[0].message.content == texts[told["index"]]
    assert done.usage.completion_tokens == sum(one["tokens"] for one in told["candidates"])
    assert done.usage.prompt_tokens == len(served.alone.encode(TALK).ids), "the prompt counts once"
    votes = [one.get("cluster") for one in told["candidates"]]
    assert votes.count(votes[told["index"]]) == max(map(votes.count, votes))
    options = {**WARM, "max_new_tokens": WARM["max_tokens"]}
    del options["max_tokens"]
    assert texts[0] == served.alone.chat(TALK, **{**options, "temperature": 0.0}), "the first is greedy"
    drawn = ask(client, {"n": 2, "greedy_first": False, "texts": True}).selection["candidates"]
    assert drawn[0]["text"] == served.alone.chat(TALK, top_p=0.95, **options), "or drawn with the seed itself"
    again = ask(client, {"n": 5, "texts": True}).selection
    assert [one["text"] for one in again["candidates"]] == texts, "the same seed, the same candidates"


def test_texts_and_log_probabilities_only_where_asked_for(client: openai.OpenAI) -> None:
    done = ask(client, {"n": 3, "vote": "logprob", "ties": "logprob"})
    assert all("text" not in one and one["logprob"] < 0 for one in done.selection["candidates"])
    assert done.choices[0].logprobs is None
    done = ask(client, {"n": 3}, logprobs=True, top_logprobs=2)
    assert len(done.choices[0].logprobs.content[0].top_logprobs) == 2
    assert all("score" not in one for one in done.selection["candidates"])


def test_candidates_differ_where_nothing_is_said_about_temperature(client: openai.OpenAI) -> None:
    """The server's own temperature is 0, which would make all of them alike."""
    talk = [{"role": "user", "content": "how many circles"}]
    given = {"model": NAME, "messages": talk, "max_tokens": 12, "seed": 1}
    done = client.chat.completions.create(**given, extra_body={"selection": {"n": 8, "texts": True}})  # type: ignore[call-overload]
    assert len({one["text"] for one in done.selection["candidates"]}) > 1


def test_the_best_by_the_critic(rated: Served, critic: LongestCritic) -> None:
    done = ask(rated.client(), {"method": "best_of", "n": 4, "texts": True})
    talk, texts, pixels = critic.asked[-1]
    assert done.choices[0].message.content == max(texts, key=len)
    candidates = done.selection["candidates"]
    assert [one["text"] for one in candidates] == texts
    assert candidates[0]["score"] == len(texts[0]) / 100 and candidates[0]["steps"][0] == 0.25
    assert len(talk.media) == 1 and pixels == rated.alone.encode(TALK).tiles.tobytes(), "the same tiles"
    done = ask(rated.client(), {"vote": "critic", "n": 4})
    assert done.selection["why"].endswith("of the weight")
    assert rated.post("/v1/chat/completions", {"messages": says("one"), **WARM}).json()["choices"]


def test_what_the_critic_refuses_is_told(rated: Served) -> None:
    body = {"messages": says("refuse this"), "selection": {"method": "best_of"}, **WARM}
    assert rated.refusal(body) == (400, "selection_failed", "responses[1]: too long for the critic")


@pytest.mark.parametrize(
    ("selection", "more", "told"),
    [
        ({"method": "best_of"}, {}, "selection.method: 'best_of' needs a critic, and this server has none"),
        ({"vote": "critic"}, {}, "selection.vote: 'critic' needs a critic, and this server has none"),
        ({"method": "most"}, {}, "selection.method = 'most': Input should be 'majority' or 'best_of'"),
        ({"n": 1}, {}, "selection.n = 1: Input should be greater than or equal to 2"),
        ({"n": 9}, {}, "selection.n: 9 answers are more than 8 (limits.choices); ask for fewer"),
        ({"n": "4"}, {}, "selection.n = '4': "),
        ({"number": 4}, {}, "selection.number: no such field here; leave it out"),
        ({"prompt": "en_v9"}, {}, "selection.prompt: 'en_v9' is unknown; give one of en, zh"),
        ({"ties": "last"}, {}, "selection.ties = 'last': "),
        ({}, {"n": 2}, "n: 2 beside selection, which tells one answer; give selection.n"),
        ({}, {"stream": True}, "stream: an answer is selected when all candidates are there"),
        ({}, {"continue_final_message": True}, "continue_final_message: candidates are whole answers"),
        ({}, {"temperature": 0}, "temperature: 0 makes all candidates alike; leave it out"),
    ],
)
def test_what_can_not_be(served: Served, selection: dict[str, Any], more: dict[str, Any], told: str) -> None:
    status, _, message = served.refusal({**WARM, "messages": TALK, "selection": selection, **more})
    assert status == 400 and message.startswith(told), message


def test_answers_by_the_rule_of_a_prompt(client: openai.OpenAI) -> None:
    done = ask(client, {"n": 2, "prompt": "en"})
    assert all("cluster" not in one and one["fault"] for one in done.selection["candidates"])
    assert done.selection["why"] == "no candidate has an answer" and done.selection["index"] == 0
    raw = client.completions.with_raw_response.create(model=NAME, prompt="a", extra_body={"n": 2})
    assert raw.parse().choices[1].index == 1, "other endpoints have choices as before"
