"""The table of rules with their default levels, and a conversation held against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tessera.chat.message import Conversation
from tessera.curation.filters.length import LengthProfile
from tessera.curation.filters.rules.content import (
    garbled,
    placeholder,
    sentence_length,
    symbol_share,
    truncated,
    url_share,
)
from tessera.curation.filters.rules.finding import Finding, Levels
from tessera.curation.filters.rules.language import language_mismatch
from tessera.curation.filters.rules.repetition import (
    character_run,
    ngram_repetition,
    phrase_loop,
    repeated_lines,
    zero_run,
)


@dataclass(frozen=True)
class TextRule:
    """A rule on one message: the function, its default levels, and whether questions are read, too."""

    find: Callable[[str], Finding]
    levels: Levels
    questions: bool = False


def _levels(borderline: float | None, drop: float | None) -> Levels:
    return Levels(borderline=borderline, drop=drop)


TEXT_RULES: dict[str, TextRule] = {
    "ngram_repetition": TextRule(ngram_repetition, _levels(0.3, 0.4)),
    "repeated_lines": TextRule(repeated_lines, _levels(0.3, 0.5)),
    "phrase_loop": TextRule(phrase_loop, _levels(4, 8)),
    "character_run": TextRule(character_run, _levels(20, 60), questions=True),
    "zero_run": TextRule(zero_run, _levels(24, 64), questions=True),
    "sentence_length": TextRule(sentence_length, _levels(1500, 4000)),
    "url_share": TextRule(url_share, _levels(0.3, 0.7)),
    "symbol_share": TextRule(symbol_share, _levels(0.25, 0.5)),
    "garbled": TextRule(garbled, _levels(1, 20), questions=True),
    "placeholder": TextRule(placeholder, _levels(0.5, 1)),
    "truncated": TextRule(truncated, _levels(0.5, 1)),
}

DEFAULTS: dict[str, Levels] = {
    **{name: rule.levels for name, rule in TEXT_RULES.items()},
    "language_mismatch": _levels(0.6, None),
    "length_limit": _levels(50_000, 200_000),
    "length_outlier": _levels(5, 8),
}
"""Every rule and its levels; "length_limit" counts the characters of all answers of a record."""


@dataclass(frozen=True)
class Hit:
    """The strongest finding of a rule in a conversation; turn None means the record as a whole."""

    rule: str
    finding: Finding
    turn: int | None = None


def answer_length(conversation: Conversation, document: bool = False) -> int:
    """Characters of all answers; of all text in a document."""
    return sum(len(text) for _, text in _answers(conversation, document))


def find_hits(
    conversation: Conversation,
    levels: Mapping[str, Levels],
    profile: LengthProfile | None,
    document: bool = False,
) -> Iterator[Hit]:
    """One hit for every rule in `levels` whose finding is at least borderline, in the order of the table.

    document: text without roles, in which every message is read as an answer.
    """
    answers = list(_answers(conversation, document))
    questions = [(turn, m.text) for turn, m in enumerate(conversation.messages) if m.role == "user"]
    for name, rule in TEXT_RULES.items():
        if name in levels:
            read = answers + questions if rule.questions and not document else answers
            yield from _worth(levels[name], [Hit(name, rule.find(text), turn) for turn, text in read])
    if "language_mismatch" in levels and not document:
        yield from _worth(levels["language_mismatch"], list(_mismatches(conversation)))
    length = answer_length(conversation, document)
    if "length_limit" in levels:
        yield from _worth(levels["length_limit"], [Hit("length_limit", Finding(float(length)))])
    if "length_outlier" in levels and profile is not None:
        yield from _worth(levels["length_outlier"], [Hit("length_outlier", profile.outlier(length))])


def _worth(levels: Levels, hits: list[Hit]) -> Iterator[Hit]:
    """The strongest of some hits, if it is worth a look."""
    if hits:
        strongest = max(hits, key=lambda hit: hit.finding.value)
        if levels.verdict(strongest.finding.value) != "keep":
            yield strongest


def _answers(conversation: Conversation, document: bool) -> Iterator[tuple[int, str]]:
    for turn, message in enumerate(conversation.messages):
        if document or message.role == "assistant":
            yield turn, message.text


def _mismatches(conversation: Conversation) -> Iterator[Hit]:
    """Every answer against the user turn before it."""
    asked = ""
    for turn, message in enumerate(conversation.messages):
        if message.role == "assistant":
            yield Hit("language_mismatch", language_mismatch(asked, message.text), turn)
        elif message.role == "user":
            asked = message.text
