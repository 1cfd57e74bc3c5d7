"""One record after the other, as worker processes look at them: faults, keys of its content, numbers."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tessera.chat.message import Conversation, Medium, kind_of
from tessera.chat.tokenizer import Tokenizer
from tessera.curation.duplicates import HASHES, content_key, id_key, signature
from tessera.curation.inspector import MediaFinding, MediaInspector
from tessera.curation.scripts import count_scripts
from tessera.curation.statistics import BoxEvidence, boxes_in
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.readers.records import RecordReader
from tessera.records.record import is_empty, listed
from tessera.records.source import Place, WeightedSource
from tessera.runtime.shown import shown

EXAMPLES = 20
"""Places that are named of a note."""
LEFT_OUT = "picture that is missing or broken, left out of its document"
_ASKS = re.compile(
    r"\b(?:the|this|these|that|both|given|following|above)\s(?:\w{1,20}\s)?"
    r"(?:image|picture|photo|photograph|figure|chart|diagram|screenshot|video|clip)s?\b"
    r"|图[片像中里]|[这该]张?[图照]|照片|视频",
    re.IGNORECASE,
)
SPELLED = "{} in the text is taken as characters; if it is content, name it in content_tokens"
SIZE_KEYS = (("width", "height"), ("width_list", "height_list"))


@dataclass
class Findings:
    """What a chunk of n records showed; arrays have n rows. faults: (record, faults) of the faulty ones."""

    first: int
    content: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    signatures: NDArray[np.uint16]
    faults: list[tuple[int, tuple[RecordFault, ...]]] = field(default_factory=list)
    boxes: BoxEvidence = field(default_factory=BoxEvidence)
    scripts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    """what is no fault but worth a line, counted"""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """the first places of a note"""
    showing: int = 0
    """records with pictures or clips"""
    asking: int = 0
    """records without, whose questions ask about one"""

    def note(self, what: str, example: str) -> None:
        """Count a note; its first examples are kept."""
        self.notes[what] += 1
        if self.notes[what] <= EXAMPLES:
            self.examples.setdefault(what, []).append(example)


class Examiner:
    """Looks at records by number, in any process; picklable.

    deep: keys for duplicates, scripts and boxes, too; without it only faults are looked for. tokenizer: which
    special strings texts may hold is asked of it. pairs: whether records must have two answers, or must not.
    """

    def __init__(
        self,
        entry: WeightedSource,
        headers_only: bool,
        deep: bool,
        tokenizer: Tokenizer | None = None,
        pairs: bool | None = None,
    ) -> None:
        self._tokenizer, self._pairs = tokenizer, pairs
        self._source, self._deep = entry.source, deep
        self._spec = entry.source.spec if isinstance(entry.source, RecordReader) else None
        self._inspector = MediaInspector(headers_only, losses=deep)

    def __call__(self, bounds: tuple[int, int]) -> Findings:
        """The records from first to last."""
        size = bounds[1] - bounds[0]
        keys = np.zeros((2, size), dtype=np.uint64)
        found = Findings(bounds[0], keys[0], keys[1], np.zeros((size, HASHES), dtype=np.uint16))
        for row, index in enumerate(range(*bounds)):
            if faults := self._look(found, row, index):
                found.faults.append((index, tuple(faults)))
        return found

    def _look(self, found: Findings, row: int, index: int) -> list[RecordFault]:
        place = self._source.place(index)
        record = None
        try:
            if isinstance(self._source, RecordReader):
                record = self._source.record(index)
                found.ids[row] = id_key(record)
            conversation = self._source.conversation(index)
        except (ValueError, OSError) as error:
            self._note_boxes(found, record, None)
            if isinstance(error, DataError):
                return list(error.faults)
            return [RecordFault(*place, "record", Reason.UNUSABLE, str(error))]
        media = [(part, self._inspector.inspect(part)) for part in conversation.media]
        faults = self._kind_faults(conversation, place) + [
            RecordFault(*place, kind_of(part), *seen.problem)
            for part, seen in media
            if seen.problem is not None
        ]
        faults = faults or size_faults(record, media, place)
        if self._deep and not faults:
            self._note(found, row, record, conversation, [seen for _, seen in media])
        return faults

    def _kind_faults(self, conversation: Conversation, place: Place) -> list[RecordFault]:
        """A fault of a pair where conversations are trained, or of a conversation where pairs are."""
        paired = bool(conversation.alternatives)
        if self._pairs is None or paired == self._pairs:
            return []
        if paired:
            return [RecordFault(*place, "record", Reason.PAIR, "a chosen and a rejected answer")]
        return [RecordFault(*place, "record", Reason.ONE_ANSWER, "a conversation")]

    def _note(
        self, found: Findings, row: int, record: object, conversation: Conversation, media: list[MediaFinding]
    ) -> None:
        """Keys of a sound record, its scripts and boxes."""
        identity = b"".join(seen.identity for seen in media)
        found.content[row] = content_key(conversation, identity)
        found.signatures[row] = signature(conversation, identity)
        found.showing += bool(media)
        text_only = self._spec is not None and self._spec.text_only
        found.asking += not media and not text_only and _asks(conversation)
        if left_out := self._left_out(record, conversation):
            found.notes[LEFT_OUT] += left_out
        place, line = self._source.place(found.first + row)
        for loss, detail in (loss for seen in media for loss in seen.losses):
            found.note(f"{loss}; {loss.remedy}", f"{place}:{line}: {detail}")
        if cut := _cut_answer(conversation):
            found.note(cut, f"{place}:{line}")
        texts = [message.text for message in (*conversation.messages, *conversation.alternatives)]
        for name in dict.fromkeys(name for text in texts for name in self._spelled(text)):
            found.note(SPELLED.format(name), f"{place}:{line}")
        found.scripts.update(count_scripts("".join(texts)))
        self._note_boxes(found, record, media[0].size if len(media) == 1 else None)

    def _spelled(self, text: str) -> list[str]:
        return [] if self._tokenizer is None else self._tokenizer.spelled(text)

    def _left_out(self, record: object, conversation: Conversation) -> int:
        """How many pictures a document names and goes on without."""
        if self._spec is None or self._spec.missing_pictures == "fault":
            return 0
        fields = record if isinstance(record, dict) else {}
        named = [*listed(fields.get("images")), *listed(fields.get("image_info"))]
        return sum(not is_empty(picture) for picture in named) - len(conversation.media)

    def _note_boxes(self, found: Findings, record: object, size: tuple[int, int] | None) -> None:
        if self._deep:
            for box in boxes_in(record):
                found.boxes.add(box, size)


def _cut_answer(conversation: Conversation) -> str:
    """What is told of a pair of which one answer is the beginning of the other; "" of all else."""
    chosen, rejected = [answer.text.strip() for answer in conversation.answers[:2]] or ("", "")
    if chosen.startswith(rejected) and rejected:
        return "the rejected answer is the beginning of the chosen one: was it cut off?"
    if rejected.startswith(chosen) and chosen:
        return "the chosen answer is the beginning of the rejected one: was it cut off?"
    return ""


def _asks(conversation: Conversation) -> bool:
    """Whether a question speaks of a picture or clip that one should see."""
    return any(message.role == "user" and _ASKS.search(message.text) for message in conversation.messages)


def size_faults(
    record: object, media: Sequence[tuple[Medium, MediaFinding]], place: Place
) -> list[RecordFault]:
    """A fault for every picture whose `width` and `height` (or `width_list`, `height_list`) are not its own.

    Lengths always come from headers, so a stated size is never needed; a wrong one tells of swapped files.
    """
    pictures = [(part.source, seen.size) for part, seen in media if seen.size is not None]
    if not isinstance(record, dict) or not pictures:
        return []
    keys = next((k for k in SIZE_KEYS if not any(is_empty(record.get(key)) for key in k)), None)
    if keys is None:
        return []
    widths, heights = (listed(record[key]) for key in keys)
    if len(widths) != len(pictures) or len(heights) != len(pictures):
        details = [f"{len(widths)} widths and {len(heights)} heights of {len(pictures)} pictures"]
    else:
        details = [
            f"{shown(width)} x {shown(height)} stated, {size[0]} x {size[1]} in {shown(source, bare=True)}"
            for (source, size), width, height in zip(pictures, widths, heights, strict=True)
            if (width, height) != size
        ]
    return [RecordFault(*place, keys[0], Reason.WRONG_SIZE, detail) for detail in details]
