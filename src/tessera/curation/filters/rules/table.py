"""The table of rules with their default levels, and a conversation held against them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tessera.chat.message import Conversation
from tessera.curation.filters.length import LengthProfile
from tessera.curation.filters.rules import content, repetition
from tessera.curation.filters.rules.finding import NOTHING, Finding, Levels, VerdictRow, excerpt
from tessera.curation.filters.rules.language import language_mismatch


@dataclass(frozen=True)
class TextRule:
    """A rule on one message: the function, its default levels, and whether questions are read, too."""

    find: Callable[[str], Finding]
    levels: Levels
    questions: bool = False


TEXT_RULES: dict[str, TextRule] = {
    "ngram_repetition": TextRule(repetition.ngram_repetition, Levels(borderline=0.3, drop=0.4)),
    "repeated_lines": TextRule(repetition.repeated_lines, Levels(borderline=0.3, drop=0.5)),
    "phrase_loop": TextRule(repetition.phrase_loop, Levels(borderline=4, drop=8)),
    "character_run": TextRule(repetition.character_run, Levels(borderline=20, drop=60), questions=True),
    "zero_run": TextRule(repetition.zero_run, Levels(borderline=24, drop=64), questions=True),
    "sentence_length": TextRule(content.sentence_length, Levels(borderline=1500, drop=4000)),
    "url_share": TextRule(content.url_share, Levels(borderline=0.3, drop=0.7)),
    "symbol_share": TextRule(content.symbol_share, Levels(borderline=0.25, drop=0.5)),
    "garbled": TextRule(content.garbled, Levels(borderline=1, drop=20), questions=True),
    "placeholder": TextRule(content.placeholder, Levels(borderline=0.5, drop=1)),
    "truncated": TextRule(content.truncated, Levels(borderline=0.5, drop=1)),
}

DEFAULTS: dict[str, Levels] = {
    **{name: rule.levels for name, rule in TEXT_RULES.items()},
    "language_mismatch": Levels(borderline=0.6, drop=None),
    "length_limit": Levels(borderline=50_000, drop=200_000),
    "length_outlier": Levels(borderline=5, drop=8),
}
"""Every rule and its levels, ours unless a docstring tells otherwise; "length_limit" counts the characters
of all answers of a record."""


def answer_length(conversation: Conversation, document: bool = False) -> int:
    """Characters of all answers; of all text in a document."""
    return sum(len(text) for _, text in _answers(conversation, document))


def find_rows(
    conversation: Conversation,
    levels: Mapping[str, Levels],
    profile: LengthProfile | None,
    document: bool = False,
) -> Iterator[VerdictRow]:
    """One row for every rule in `levels` with a finding that is at least borderline, in the table's order.

    document: text without roles, in which every message is read as an answer.
    """
    answers = list(_answers(conversation, document))
    questions = [(turn, m.text) for turn, m in enumerate(conversation.messages) if m.role == "user"]
    for name, rule in TEXT_RULES.items():
        if name in levels:
            read = answers + questions if rule.questions and not document else answers
            yield from _worth(name, levels[name], [(rule.find(text), turn, text) for turn, text in read])
    if "language_mismatch" in levels and not document:
        yield from _worth("language_mismatch", levels["language_mismatch"], list(_mismatches(conversation)))
    length = answer_length(conversation, document)
    whole = {"length_limit": Finding(float(length))}
    if profile is not None:
        whole["length_outlier"] = profile.outlier(length)
    for name, finding in whole.items():
        if name in levels:
            yield from _worth(name, levels[name], [(finding, None, f"{length} characters in all answers")])


_Evidence = tuple[Finding, int | None, str]
"""A finding, its message's number (None for the record as a whole) and the text it was found in."""


def _worth(rule: str, levels: Levels, found: list[_Evidence]) -> Iterator[VerdictRow]:
    """The strongest of a rule's findings, if it is worth a look."""
    finding, turn, text = max(found, key=lambda evidence: evidence[0].value, default=(NOTHING, None, ""))
    verdict = levels.verdict(finding.value)
    if verdict == "keep":
        return
    row = VerdictRow(rule, round(finding.value, 4), levels.threshold(verdict), verdict, excerpt=text)
    if turn is not None:
        start, end = finding.start, finding.end
        row = replace(row, turn=turn, start=start, end=end, excerpt=excerpt(text, start, end))
    yield row


def _answers(conversation: Conversation, document: bool) -> Iterator[tuple[int, str]]:
    for turn, message in enumerate(conversation.messages):
        if document or message.role == "assistant":
            yield turn, message.text


def _mismatches(conversation: Conversation) -> Iterator[_Evidence]:
    """Every answer against the user turn before it."""
    asked = ""
    for turn, message in enumerate(conversation.messages):
        if message.role == "assistant":
            yield language_mismatch(asked, message.text), turn, message.text
        elif message.role == "user":
            asked = message.text
