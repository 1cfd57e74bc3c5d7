"""Where the answer of a response stands, by the version of the prompt that asked for it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_TRIGGERS = ("Final answer:", "Final Answer:", "答案:")
_MOST_TRIGGERS = 2
_LEAST_NEWLINES = 2
_SHORTEST = 20
"""Characters that a boxed response, or the thinking of a response, must exceed."""
_THOUGHT = re.compile(r"<think>.*?</think>\s*.+", re.DOTALL)
_BOX = "\\boxed{"


@dataclass(frozen=True)
class FinalAnswer:
    """The answer of a response that keeps the format."""

    answer: str


@dataclass(frozen=True)
class BadFormat:
    """Why a response breaks the format, in a few words that are the same for all responses of a kind."""

    why: str


def extract_answer(response: str, version: str) -> FinalAnswer | BadFormat:
    """The answer of a response to a prompt of this version, as the published pipeline finds it.

    ValueError for a version that is none of `VERSIONS` (docs/facts/preferences.md).

    >>> extract_answer("2 and 3.\\n\\nFinal answer: 5", "en")
    FinalAnswer(answer='5')
    """
    if version not in VERSIONS:
        raise ValueError(f"prompt_version {version[:80]!r} is unknown; give one of {', '.join(VERSIONS)}")
    return VERSIONS[version](response)


def last_box(text: str) -> str | None:
    r"""What the last `\boxed{…}` holds, its braces balanced; None without one, or when it is not closed."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    depth, start = 1, start + len(_BOX)
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start:at]
    return None


def _triggered(response: str) -> FinalAnswer | BadFormat:
    """Behind the last trigger. The first trigger of the list that occurs counts, whatever the language."""
    trigger = next((words for words in _TRIGGERS if words in response), None)
    if trigger is None:
        return BadFormat("no final answer announced")
    if response.count(trigger) > _MOST_TRIGGERS:
        return BadFormat(f"final answer announced more than {_MOST_TRIGGERS} times")
    if response.count("\n") < _LEAST_NEWLINES:
        return BadFormat(f"fewer than {_LEAST_NEWLINES} line breaks")
    rationale, _, answer = response.rpartition(trigger)
    if not rationale.strip():
        return BadFormat("nothing before the final answer")
    if "\n" in answer.strip():
        return BadFormat("final answer of several lines")
    return FinalAnswer(answer.strip())


def _boxed(response: str) -> FinalAnswer | BadFormat:
    """In the last box; a response without one is its own answer."""
    if len(response) <= _SHORTEST:
        return BadFormat(f"no more than {_SHORTEST} characters")
    box = last_box(response)
    return FinalAnswer(response if box is None else box)


def _thought(response: str) -> FinalAnswer | BadFormat:
    """In a box behind the one `<think>` part."""
    if response.count("<think>") != 1 or response.count("</think>") != 1:
        return BadFormat("not one <think> and one </think>")
    if not _THOUGHT.fullmatch(response):
        return BadFormat("not <think>…</think> and then an answer")
    thinking, _, behind = response.partition("</think>")
    if len(thinking.strip()) <= _SHORTEST:  # the tag itself counts, as published
        return BadFormat(f"thinking of no more than {_SHORTEST} characters")
    box = last_box(behind)
    return BadFormat("no box behind </think>") if box is None else FinalAnswer(box)


VERSIONS: Mapping[str, Callable[[str], FinalAnswer | BadFormat]] = {
    "en": _triggered,
    "zh": _triggered,
    "en_v2": _boxed,
    "zh_v2": _boxed,
    "en_v2_mc": _boxed,
    "en_r1": _thought,
    "zh_r1": _thought,
    "plain": _triggered,
}
"""Version of the prompt → its rule."""
