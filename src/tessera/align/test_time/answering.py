"""A question to its chosen answer: candidates that share prompt and pictures, rated, and one taken."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, Unpack

from tessera.align.critics.critic import Critic
from tessera.align.prompts import write_prompt
from tessera.align.test_time.settings import USUAL_TOKENS, CandidateSampling
from tessera.chat.message import IMAGE_MARK, Conversation
from tessera.engine.chat_model import ChatModel, Prompt
from tessera.engine.completion import Completion
from tessera.engine.request import ChatInput, ChatOptions, Pictures, place_prompt
from tessera.scoring.selection.responses import CandidateResponse, ChosenResponse, choose, rated
from tessera.scoring.selection.rule import SelectionRule

DEFAULT_PROMPT = "en_v2"
"""Asks for reasoning and a boxed answer, as in the published evaluations."""


@dataclass(frozen=True)
class ChosenAnswer(ChosenResponse):
    """The same with its cost. prompt_tokens: of the prompt, which all candidates share."""

    prompt_tokens: int = 0
    seconds: float = 0.0
    """Until all candidates were there."""
    critic_seconds: float = 0.0

    def __str__(self) -> str:
        return self.answer

    @classmethod
    def of(cls, chosen: ChosenResponse, **costs: Any) -> Self:
        """A choice, and what it cost."""
        return cls(chosen.index, chosen.why, chosen.weights, chosen.candidates, **costs)


def answer_by(
    rule: SelectionRule,
    model: ChatModel,
    question: ChatInput,
    pictures: Pictures = (),
    *,
    n: int = 8,
    critic: Critic | None = None,
    prompt: str | None = DEFAULT_PROMPT,
    greedy_first: bool = True,
    **options: Unpack[ChatOptions],
) -> ChosenAnswer:
    """The answer that the rule takes among n candidates.

    prompt: name of the prompt that asks for reasoning (`align.prompts`), around a question that is a string;
    None asks as it is. Other options are those of `ChatModel.chat`; temperature 0.7 and top_p 0.95 where they
    say nothing, and at most 4,096 tokens. ValueError naming what is wrong, before anything is computed.
    """
    asked = as_prompted(question, prompt)
    given = {"question": asked, "pictures": pictures, **options}
    return answer_asked(rule, model, given, prompt, n, critic, greedy_first)


def answer_asked(
    rule: SelectionRule,
    model: ChatModel,
    given: Mapping[str, Any],
    version: str | None,
    n: int,
    critic: Critic | None = None,
    greedy_first: bool = True,
) -> ChosenAnswer:
    """The same for the arguments of `ChatModel.chat`, whose question is the whole prompt of this version."""
    if type(n) is not int or n < 1:
        raise ValueError(f"n = {n!r}: give the number of candidates, at least 1")
    if rule.scored and critic is None:
        raise ValueError(f"critic = None: {rule.method} by score needs one; give a critic, or vote by count")
    request = _fitted(model, model.prompt(**_with_defaults(given, n, rule)), given)
    begun = time.perf_counter()
    responses = _sampled(model, request, n, greedy_first)
    sampled = time.perf_counter()
    if critic is not None:
        responses = rated(responses, partial(critic.score, request.conversation))
    took = {"seconds": sampled - begun, "critic_seconds": time.perf_counter() - sampled if critic else 0.0}
    chosen = choose(responses, version, rule, request.conversation.messages[-1].text)
    return ChosenAnswer.of(chosen, prompt_tokens=len(request.encoded.ids), **took)


def as_prompted(question: ChatInput, version: str | None) -> ChatInput:
    """The question inside of the prompt of this name. ValueError for a talk, which carries its own."""
    if version is None:
        return question
    if not isinstance(question, str):
        raise ValueError(f"prompt = {version!r}: messages carry their own; give prompt=None")
    return write_prompt(question, version, question.count(IMAGE_MARK))


def scores_of(critic: Critic, conversation: Conversation, texts: Sequence[str]) -> list[float | None]:
    """The critic's scores of texts; None for one that says nothing."""
    responses = [CandidateResponse(text) for text in texts]
    return [one.score for one in rated(responses, partial(critic.score, conversation))]


def mean_logprob(completion: Completion) -> float | None:
    """Of its tokens; None where they were not asked for, or there are none."""
    told = completion.logprobs
    return sum(token.logprob for token in told) / len(told) if told else None


def _with_defaults(given: Mapping[str, Any], n: int, rule: SelectionRule) -> dict[str, Any]:
    """The arguments, with options of all candidates. ValueError for those that make all of them alike."""
    usual, chosen = CandidateSampling(), dict(given)
    if "do_sample" not in chosen:
        chosen = {"temperature": usual.temperature, "top_p": usual.top_p} | chosen
    if n > 1 and (chosen.get("do_sample") is False or chosen.get("temperature") == 0):
        raise ValueError("temperature = 0: all candidates would be alike; give one above 0, or n=1")
    return chosen | ({"logprobs": chosen.get("logprobs") or 0} if rule.weighed else {})


def _fitted(model: ChatModel, request: Prompt, options: Mapping[str, Any]) -> Prompt:
    """The prompt with as many new tokens as is usual for candidates, where nobody says and there is room."""
    if "max_new_tokens" in options:
        return request
    ids, increment = request.encoded.ids, request.visual_increment
    _, room = place_prompt("the prompt", ids, increment, 1, model.family.model)
    most = min(USUAL_TOKENS, room)
    return replace(request, sampling=request.sampling.model_copy(update={"max_new_tokens": most}))


def _sampled(model: ChatModel, request: Prompt, n: int, greedy_first: bool) -> list[CandidateResponse]:
    """Candidates in order."""
    engine, begun = model.engine, time.perf_counter()
    ready = (
        engine.sequence(request.encoded, sampling, request.visual_increment)
        for sampling in request.sampling.several(n, greedy_first)
    )
    found: dict[int, CandidateResponse] = {}
    for place, done in engine.answers(ready):
        text = request.answer(done.sound()).whole
        seconds = time.perf_counter() - begun
        found[place] = CandidateResponse(text, len(done.ids), done.finish, mean_logprob(done), seconds)
    return [found[place] for place in range(n)]
