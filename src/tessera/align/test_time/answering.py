"""A question to its chosen answer: candidates that share prompt and pictures, rated, and one taken."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

from tessera.align.critics.critic import Critic
from tessera.align.prompts import write_prompt
from tessera.align.test_time.settings import CandidateSampling
from tessera.chat.message import IMAGE_MARK, Conversation
from tessera.engine.chat_model import ChatModel, Prompt
from tessera.engine.completion import Completion
from tessera.engine.request import ChatInput, ChatOptions, Pictures, place_prompt
from tessera.scoring.selection.responses import CandidateResponse, ChosenResponse, choose
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
    check_number(n)
    if rule.scored and critic is None:
        raise ValueError(f"critic = None: {rule.method} by score needs one; give a critic, or vote by count")
    asked = as_prompted(question, prompt)
    request = model.prompt(asked, pictures, **_with_defaults(options, n, greedy_first, rule))
    request = _fitted(model, request, options)
    begun = time.perf_counter()
    responses, prompt_tokens = _sampled(model, request, n, greedy_first)
    sampled = time.perf_counter()
    if critic is not None:
        responses = rated(critic, request.conversation, responses)
    chosen = choose(responses, prompt, rule)
    took = {"seconds": sampled - begun, "critic_seconds": time.perf_counter() - sampled if critic else 0.0}
    return ChosenAnswer.of(chosen, prompt_tokens=prompt_tokens, **took)


def check_number(n: int) -> None:
    """ValueError for a number of candidates that can't be."""
    if type(n) is not int or n < 1:
        raise ValueError(f"n = {n!r}: give the number of candidates, at least 1")


def as_prompted(question: ChatInput, version: str | None) -> ChatInput:
    """The question inside of the prompt of this name. ValueError for a talk, which carries its own."""
    if version is None:
        return question
    if not isinstance(question, str):
        raise ValueError(f"prompt = {version!r}: messages carry their own; give prompt=None")
    return write_prompt(question, version, question.count(IMAGE_MARK))


def rated(
    critic: Critic, conversation: Conversation, responses: Sequence[CandidateResponse]
) -> list[CandidateResponse]:
    """The responses with the critic's scores."""
    judged = critic.score(conversation, [response.text for response in responses])
    return [
        replace(response, score=one.score, steps=one.steps)
        for response, one in zip(responses, judged, strict=True)
    ]


def mean_logprob(completion: Completion) -> float | None:
    """Of its tokens; None where they were not asked for, or there are none."""
    told = completion.logprobs
    return sum(token.logprob for token in told) / len(told) if told else None


def _with_defaults(options: ChatOptions, n: int, greedy_first: bool, rule: SelectionRule) -> dict[str, Any]:
    """Options of all candidates. ValueError for those that make all of them alike."""
    usual = CandidateSampling()
    chosen: dict[str, Any] = {**options}
    if "do_sample" not in chosen:
        chosen = {"temperature": usual.temperature, "top_p": usual.top_p} | chosen
    if n > 1 and (chosen.get("do_sample") is False or chosen.get("temperature") == 0):
        raise ValueError("temperature = 0: all candidates would be alike; give one above 0, or n=1")
    return chosen | ({"logprobs": chosen.get("logprobs") or 0} if rule.weighed else {})


def _fitted(model: ChatModel, request: Prompt, options: ChatOptions) -> Prompt:
    """The prompt with as many new tokens as is usual for candidates, where nobody says and there is room."""
    if "max_new_tokens" in options:
        return request
    ids, increment = request.encoded.ids, request.visual_increment
    _, room = place_prompt("the prompt", ids, increment, 1, model.family.model)
    most = min(CandidateSampling().new_tokens, room)
    return replace(request, sampling=request.sampling.model_copy(update={"max_new_tokens": most}))


def _sampled(
    model: ChatModel, request: Prompt, n: int, greedy_first: bool
) -> tuple[list[CandidateResponse], int]:
    """Candidates in order, and the tokens of their prompt."""
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
    return [found[place] for place in range(n)], len(request.encoded.ids)
