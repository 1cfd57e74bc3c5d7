"""Questions whose answers are masks, asked and measured, beside what would be had without states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tessera.chat.message import Conversation, Image, Message, Text
from tessera.engine.answer import Answer
from tessera.engine.chat_model import ChatModel
from tessera.engine.links.decoders import LinkRequest
from tessera.engine.links.linker import AnswerLink
from tessera.imaging.decode import read_size
from tessera.records.manifest import read_meta
from tessera.records.masks import read_masks
from tessera.records.open import open_sources
from tessera.records.readers.records import RecordReader
from tessera.runtime.progress import Progress, silent
from tessera.scoring.grounding.masks import MaskCounts, count_masks, join_masks, mask_figures

Pixels = npt.NDArray[np.bool_]
LONGEST = 128
"""Tokens of an answer, slots included: those with many masks say little else."""
MODEL, SHUFFLED, BOXES = "the model", "states of other questions", "right boxes instead of masks"


@dataclass(frozen=True, eq=False)
class MaskedQuestion:
    """One turn of a record, asked alone. right: the masks of its answer, bool [H, W], of one picture."""

    conversation: Conversation
    right: tuple[Pixels, ...]
    shape: tuple[int, int]


@dataclass(frozen=True)
class MaskReport:
    """Who -> figures of `mask_figures`; by the number of right masks, gIoU of the model; answers as asked."""

    questions: int
    figures: Mapping[str, Mapping[str, float]]
    by_masks: Mapping[str, float]
    counted_right: float
    """Share of answers with as many links as right masks, times 100."""


def masked_questions(
    meta: str | Path, tokens: Sequence[str], most: int | None = None
) -> Iterator[MaskedQuestion]:
    """Every turn of a manifest's records, at most so many. DataError for a faulty record.

    ValueError for records with several pictures: their masks belong to pictures of which each is measured.
    """
    given = 0
    for entry in open_sources(read_meta(str(meta))):
        source = entry.source
        assert isinstance(source, RecordReader)
        for index in range(source.size):
            for question in _turns(source, index, tokens):
                if given == most:
                    return
                given += 1
                yield question


def measure_masks(
    model: ChatModel, meta: str | Path, most: int | None = None, progress: Progress = silent
) -> MaskReport:
    """Ask all questions, and measure the masks of the answers, with controls.

    `states of other questions`: every link decoded with the states of a link from elsewhere, its own picture.
    `right boxes`: what a perfect detector would give: the box around every right mask, filled.
    """
    links = model.family.links
    if links is None or links.masks is None:
        raise ValueError(
            f"{model.family.name} has no link token for masks (docs/link.md); give another model"
        )
    names = [link.token for link in links.tokens]
    questions = list(masked_questions(meta, names, most))
    if not questions:
        raise ValueError(f"{meta} holds no question; name a manifest with records")
    talks = [question.conversation for question in questions]
    answers = model.batch(talks, progress, max_new_tokens=LONGEST)
    said = [_said(question, answer) for question, answer in zip(questions, answers, strict=True)]
    counts = {
        MODEL: said,
        SHUFFLED: _shuffled(questions, answers),
        BOXES: [_counts(question, [filled_box(mask) for mask in question.right]) for question in questions],
    }
    fitting = [len(a.links) == len(q.right) for a, q in zip(answers, questions, strict=True)]
    return MaskReport(
        len(questions),
        {name: mask_figures(found) for name, found in counts.items()},
        _by_masks(questions, said),
        100 * sum(fitting) / len(fitting),
    )


def filled_box(mask: Pixels) -> Pixels:
    """The smallest box around a mask bool [H, W], filled; nothing around nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    filled = np.zeros_like(mask)
    if len(rows):
        filled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return filled


def _turns(source: RecordReader, index: int, tokens: Sequence[str]) -> Iterator[MaskedQuestion]:
    talk, masks = source.conversation(index), read_masks(source, index, tokens)
    pictures = [part for part in talk.media if isinstance(part, Image)]
    if len(pictures) != 1 or len(talk.media) != 1:
        file, line = source.place(index)
        raise ValueError(f"{file}:{line}: {len(talk.media)} media; a measured question has one picture")
    (part,) = pictures
    width, height = read_size(part.source, reading=part.reading)
    system = tuple(message for message in talk.messages if message.role == "system")
    turns, start = talk.messages[len(system) :], 0
    for asked, answer in zip(turns[::2], turns[1::2], strict=True):
        count = sum(answer.text.count(token) for token in tokens)
        own = tuple(mask.pixels() for mask in masks[start : start + count])
        start += count
        question = Message("user", (part, Text(f"\n{asked.text.strip()}")))
        yield MaskedQuestion(Conversation((*system, question)), own, (height, width))


def _said(question: MaskedQuestion, answer: Answer) -> MaskCounts:
    return _counts(question, [link.result.masks[0].pixels for link in answer.links])


def _counts(question: MaskedQuestion, masks: Sequence[Pixels]) -> MaskCounts:
    right = join_masks(question.right, question.shape)
    return count_masks(join_masks(masks, question.shape), right)


def _shuffled(questions: Sequence[MaskedQuestion], answers: Sequence[Answer]) -> list[MaskCounts]:
    """Every link with the states of the link that stands half of all links further on."""
    links = [link for answer in answers for link in answer.links]
    others = iter(links[len(links) // 2 :] + links[: len(links) // 2])
    found = []
    for question, answer in zip(questions, answers, strict=True):
        masks = [_decoded(link, next(others)) for link in answer.links]
        found.append(_counts(question, masks))
    return found


def _decoded(link: AnswerLink, states_of: AnswerLink) -> Pixels:
    decode = link.linker.decoders.find(link.decoder, link.token)
    result = decode(LinkRequest(link.token, states_of.projected, link.linker.pictures))
    return result.masks[0].pixels


def _by_masks(questions: Sequence[MaskedQuestion], said: Sequence[MaskCounts]) -> dict[str, float]:
    """gIoU of the questions that have 0, 1, 2 ... right masks."""
    groups: dict[int, list[MaskCounts]] = {}
    for question, counts in zip(questions, said, strict=True):
        groups.setdefault(len(question.right), []).append(counts)
    return {str(number): mask_figures(groups[number])["gIoU"] for number in sorted(groups)}
