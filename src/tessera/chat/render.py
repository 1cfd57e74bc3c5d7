"""Conversation to ids and loss weights in one pass: the only place where a prompt is put together.

Text between two control tokens is one *run* and is tokenised as a whole, whoever wrote its parts, because
that is what the released models saw: the line break behind `user` and the first word of the question meet
the same merges. Control tokens come from the template and from the placeholders, never from what a user
wrote. The result equals the official tokenisation of the whole prompt and that of its pieces
(docs/facts/templates.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tessera.chat.message import Conversation, Message, Part, Text
from tessera.chat.templates import Channels, Template
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import NO_SLOTS, LinkSlots, SpecialTokens
from tessera.chat.tokens import MediaSpan as MediaSpan

ROLES = ("system", "user", "assistant")
THOUGHT, THOUGHT_END = "<think>", "</think>"
"""Around what a model thought before it answered."""


@dataclass(frozen=True)
class Rendered:
    """A prompt: `ids` in order and the half-open `spans` of supervised tokens.

    branches: where one prompt has several answers behind it, the tokens of each; together they end `ids`.
    slots: numbers among `ids` that are never supervised, whatever the spans say.
    """

    ids: list[int]
    spans: list[tuple[int, int]]
    branches: tuple[int, ...] = ()
    slots: LinkSlots = NO_SLOTS

    @property
    def trained(self) -> int:
        """Number of supervised tokens."""
        if self.slots.counts:
            return int(np.count_nonzero(self.arrays()[1]))
        return sum(stop - start for start, stop in self.spans)

    def arrays(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """ids int32 [T] and weights float32 [T]: 1.0 where token t is a target, else 0.0."""
        weights = np.zeros(len(self.ids), dtype=np.float32)
        for start, stop in self.spans:
            weights[start:stop] = 1.0
        ids = np.array(self.ids, dtype=np.int32)
        if self.slots.counts:
            weights[ids >= self.slots.first] = 0.0
        return ids, weights


class _Writer:
    """Ids written so far and the open run of text behind them."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        tokens: SpecialTokens,
        tokens_per_tile: int,
        trust_text: bool,
        slots: LinkSlots,
    ) -> None:
        self.ids = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        self.spans: list[tuple[int, int]] = []
        self.trusted = tokenizer.split
        self.cut = tokenizer.split if trust_text else tokenizer.split_content
        """Cuts what a person or the model said: turn markers in it stay characters."""
        around = (tokens.start, tokens.end)
        self.image_start, self.image_end = ([tokenizer.token_id(text)] if text else [] for text in around)
        self.context = [tokenizer.token_id(tokens.context)]
        self.tile = self.context * tokens_per_tile
        self._splits = tokens.splits
        self.sound = [tokenizer.token_id(text) for text in tokens.sounds]
        """Begin, end and placeholder of a sound; none where the model does not hear."""
        self._tokenizer, self._slots = tokenizer, slots
        self._run = ""
        self._left: int | None = None

    def write(self, pieces: Iterable[int | str]) -> None:
        """Text joins the open run; a control token closes it."""
        for piece in pieces:
            if isinstance(piece, str):
                self._run += piece
                continue
            if self._run:
                self.ids += self._tokenizer.encode_plain(self._run, self._left)
                self._run = ""
            elif self._left is None:
                self.ids += self._tokenizer.opening(piece)
            self.ids.append(piece)
            self._left = piece

    def said(self, text: str) -> Iterator[int | str]:
        """What an answer says, cut, with the slots behind its link tokens."""
        for piece in self.cut(text):
            yield piece
            if isinstance(piece, int):
                yield from self._slots.behind(piece)

    def began(self, text: str) -> list[int | str]:
        """What an answer begins with, cut. ValueError for a link token, whose states nobody would get."""
        pieces = self.cut(text)
        if links := [piece for piece in pieces if isinstance(piece, int) and self._slots.behind(piece)]:
            name = self._tokenizer.decode(links[:1], skip_special=False)
            raise ValueError(
                f"prefill: {name!r} is a link token, which the model writes itself; leave it out"
            )
        return pieces

    def picture(self, tiles: int, visual: int | None = None) -> None:
        """The placeholders of a picture between the tokens that stand around it, if any do."""
        self.write(self.image_start)
        self.close()
        self.ids += self.tile * tiles if visual is None else self.context * visual
        self._left = None if self._splits else self.tile[0]
        self.write(self.image_end)

    def position(self) -> int:
        """Tokens so far, the open run counted as if it ended here (the official mask counts so)."""
        return len(self.ids) + len(self._tokenizer.encode_plain(self._run, self._left))

    def close(self) -> None:
        """Write the open run."""
        self.ids += self._tokenizer.encode_plain(self._run, self._left)
        self._run = ""

    def fork(self) -> _Writer:
        """One that goes on from here, and holds what it writes alone; the open run is written by it."""
        other = copy(self)
        other.ids, other.spans = [], []
        return other

    def take(self, ids: Sequence[int]) -> None:
        """Ids that forks wrote, in place of the open run."""
        self.ids += ids
        self._run = ""


def render(
    conversation: Conversation,
    template: Template,
    tokenizer: Tokenizer,
    media: Sequence[MediaSpan] = (),
    tokens_per_tile: int = 256,
    system_text: str | None = None,
    generate: bool = False,
    trust_text: bool = False,
    prefill: str = "",
    slots: LinkSlots = NO_SLOTS,
) -> Rendered:
    """Write a conversation down.

    media: one span per picture or clip, in order. system_text: None takes the template's; a leading system
    message overrides both. generate: end with the empty assistant role, ready for an answer; prefill: words
    that this answer begins with. trust_text: let special strings in content become control tokens, as the
    official code does. slots: of link tokens that answers hold. Of a conversation with several answers these
    alone are supervised, those of earlier turns belong to the prompt. ValueError says what is wrong with the
    conversation.
    """
    system, turns = _check(conversation, generate)
    if template.captions:
        _check_caption(turns, template, generate)
    writer = _Writer(tokenizer, template.tokens, tokens_per_tile, trust_text, slots)
    spans = iter(media)
    writer.write(writer.trusted(template.system_prefix))
    if system is not None:
        writer.write(writer.cut(system.text))
    elif system_text is None:
        writer.write(writer.trusted(template.system_text))
    else:
        writer.write(writer.cut(system_text))
    writer.write(writer.trusted(template.system_end))
    strip = template.strip and not generate
    answers = conversation.answers
    for place, message in enumerate(_as_prompt(turns[:-1]) if answers else turns, start=1):
        if generate and message.empty:
            # The authors' `get_prompt` writes the role of an empty message alone and leaves the turn open.
            role = template.user_prefix if message.role == "user" else template.assistant_prefix
            writer.write(writer.trusted(role.rstrip(" ")))
        elif message.role == "user":
            writer.write(writer.trusted(template.user_prefix))
            _write_question(writer, message, template, spans, generate)
            writer.write(writer.trusted(template.user_end))
        else:
            _write_answer(writer, message, template, generate, strip, earlier=place < len(turns))
    if generate:
        writer.write(writer.trusted(template.assistant_prefix))
        if prefill:
            writer.write((*writer.trusted(template.answer_lead), *writer.began(prefill)))
    branches = _write_answers(writer, answers, template, strip)
    writer.close()
    if next(spans, None) is not None:
        parts = len(conversation.media)
        raise ValueError(f"media: {len(media)} spans for {parts} media parts; give one span each")
    return Rendered(writer.ids, writer.spans, branches, slots)


def _check(conversation: Conversation, generate: bool) -> tuple[Message | None, Sequence[Message]]:
    """The leading system message, if any, and the turns after it; ValueError when they make no sense."""
    messages = conversation.messages
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.role not in ROLES:
            raise ValueError(f"{where}.role: {message.role!r} is unknown; use one of {', '.join(ROLES)}")
        if message.role == "system" and index > 0:
            raise ValueError(f"{where}.role: 'system' may only come first; move or merge it")
        if message.role != "user" and not all(isinstance(p, Text) for p in message.parts):
            raise ValueError(f"{where}.parts: a {message.role} turn holds media; put it in a user turn")
    system = messages[0] if messages and messages[0].role == "system" else None
    turns = messages if system is None else messages[1:]
    if not turns:
        raise ValueError("messages: no turn of user or assistant; add at least one user message")
    if turns[0].role != "user":
        raise ValueError("messages: the assistant speaks first; start with a user message")
    if conversation.alternatives:
        _check_answers(conversation, generate)
    if generate and turns[-1].role != "user":
        raise ValueError(
            "messages: the last turn is the assistant's; end with a user message to generate, or let "
            "the answer go on with it (continue_final_message=True)"
        )
    return system, turns


def _check_caption(turns: Sequence[Message], template: Template, generate: bool) -> None:
    """ValueError for what is not one picture and its caption."""
    if generate:
        raise ValueError(f"template: {template.name!r} writes captions for training; chat with another one")
    pictures = sum(not isinstance(part, Text) for part in turns[0].parts)
    if len(turns) != 2 or pictures != 1:
        raise ValueError(
            f"messages: {len(turns)} turns and {pictures} pictures, but template {template.name!r} takes one "
            "picture and its caption; leave the record to a stage with another template"
        )


def _check_answers(conversation: Conversation, generate: bool) -> None:
    """ValueError for answers that can't stand in place of each other."""
    where = [f"messages[{len(conversation.messages) - 1}]"]
    where += [f"alternatives[{number}]" for number in range(len(conversation.alternatives))]
    if generate:
        raise ValueError("alternatives: a prompt to be answered has none; leave the answers out")
    for place, answer in zip(where, conversation.answers, strict=True):
        if answer.role != "assistant" or not answer.trained:
            raise ValueError(
                f"{place}: each of several answers is a trained turn of the assistant; make it one"
            )
        if not all(isinstance(part, Text) for part in answer.parts):
            raise ValueError(f"{place}.parts: an answer holds media; put them in a user turn")
        if not answer.text.strip():
            raise ValueError(
                f"{place}: one of several answers is empty ({answer.text!r}); leave the record out"
            )


def _as_prompt(turns: Sequence[Message]) -> list[Message]:
    """Turns before several answers: nothing of them is supervised."""
    return [replace(message, trained=False) for message in turns]


def _write_answers(
    writer: _Writer, answers: Sequence[Message], template: Template, strip: bool
) -> tuple[int, ...]:
    """Each answer with the ids that it has alone behind the prompt; the tokens of each, none for no answers.

    An answer that begins with a line break may change the last token of the prompt. That token then belongs
    to each answer, without being supervised, so that every answer follows the ids that it follows alone.
    """
    if not answers:
        return ()
    sides = [writer.fork() for _ in answers]
    for side, answer in zip(sides, answers, strict=True):
        _write_answer(side, answer, template, generate=False, strip=strip)
        side.close()
    supervised = min(side.spans[0][0] for side in sides)
    columns = zip(*(side.ids[:supervised] for side in sides), strict=False)
    shared = next((n for n, column in enumerate(columns) if len(set(column)) > 1), supervised)
    writer.take(sides[0].ids[:shared])
    for side in sides:
        start = len(writer.ids) - shared
        writer.spans += [(start + first, start + last) for first, last in side.spans]
        writer.ids += side.ids[shared:]
    _check_distinct(sides)
    return tuple(len(side.ids) - shared for side in sides)


def _check_distinct(sides: Sequence[_Writer]) -> None:
    """ValueError for two answers of the same ids."""
    names = ["the last message", *(f"alternatives[{number}]" for number in range(len(sides) - 1))]
    for (first, one), (second, two) in combinations(zip(names, sides, strict=True), 2):
        if one.ids == two.ids:
            raise ValueError(f"{second}: the same answer as {first}; leave one of them out")


def _write_question(
    writer: _Writer, message: Message, template: Template, spans: Iterator[MediaSpan], generate: bool
) -> None:
    # The training code strips turns for some templates; the authors' inference code feeds them as typed.
    parts: Sequence[Part] = message.parts
    if template.strip and not generate:
        parts = _stripped(parts)
    if template.captions:
        parts = [part for part in parts if not isinstance(part, Text)]
    elif template.picture_first:
        parts = _picture_first(parts, generate)
    for part in parts:
        if isinstance(part, Text):
            writer.write(writer.cut(part.text))
            continue
        span = next(spans, None)
        if span is None:
            raise ValueError("media: fewer spans than media parts; give one for each picture, clip and sound")
        for index, (tiles, label) in enumerate(zip(span.tiles, span.labels, strict=True)):
            writer.write((f"\n{label}" if index else label,))
            writer.picture(tiles, None if span.visual is None else span.visual[index])
        if span.sound:
            start, end, context = writer.sound
            writer.write((start,))
            writer.ids += [context] * span.sound
            writer.write((end,))


def _write_answer(
    writer: _Writer, message: Message, template: Template, generate: bool, strip: bool, earlier: bool = False
) -> None:
    """`earlier`: another turn follows."""
    answer = message.text.strip() if strip else message.text
    if message.trained and not generate and not answer.strip():
        raise ValueError(
            f"messages: a trained answer is empty ({message.text!r}); drop the record or set trained=False"
        )
    writer.write(writer.trusted(template.assistant_prefix))
    start = writer.position()
    if template.channels is not None:
        answer = _write_thought(writer, answer, template.channels)
    stop = (earlier and template.earlier_stop) or template.stop
    writer.write(writer.trusted(template.answer_lead))
    writer.write((*writer.said(answer), *writer.trusted(stop)))
    if message.trained:  # the stop is one token
        writer.spans.append((start, writer.position() - (not message.end_trained)))
    writer.write(writer.trusted(template.answer_end))


def _write_thought(writer: _Writer, answer: str, channels: Channels) -> str:
    """Write the thought that stands in front of the words, if there is one; returns the words."""
    before, closed, words = answer.rpartition(THOUGHT_END)
    if not closed or THOUGHT not in before:
        return answer
    thought = before.partition(THOUGHT)[2].strip()
    writer.write(writer.trusted(channels.thought_lead))
    writer.write(writer.cut(thought))
    writer.write(writer.trusted(channels.thought_end))
    return words.strip()


def _stripped(parts: Sequence[Part]) -> list[Part]:
    """The parts of a turn without the white space around it."""
    left = list(parts)
    if left and isinstance(left[0], Text):
        left[0] = Text(left[0].text.lstrip())
    if left and isinstance(left[-1], Text):
        left[-1] = Text(left[-1].text.rstrip())
    return left


def _picture_first(parts: Sequence[Part], generate: bool) -> Sequence[Part]:
    """One picture before the words of its turn; several stay where they are."""
    media = [part for part in parts if not isinstance(part, Text)]
    if len(media) != 1 or (generate and parts[0] is media[0]):
        return parts
    words = "".join(part.text for part in parts if isinstance(part, Text)).strip()
    return [*media, Text("\n" + words)] if words else media
