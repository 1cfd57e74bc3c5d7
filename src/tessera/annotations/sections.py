"""Which sections a template file has, and which slots each may use and must use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Slots:
    """Slots of a section; what is needed can't be left out, or the question would have no answer."""

    needed: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        """All slots that may be used."""
        return frozenset(self.needed + self.allowed)


OBJECTS: Mapping[str, Slots] = {
    "detection.question": Slots(("label",)),
    "detection.answer": Slots(("label", "boxes")),
    "everything.question": Slots(),
    "everything.answer": Slots(("found",)),
    "grounding.question": Slots(("phrase",)),
    "grounding.answer": Slots(("boxes",), ("phrase",)),
    "naming.question": Slots(("boxes",)),
    "naming.answer": Slots(("label",)),
    "counting.question": Slots(("label",)),
    "counting.answer": Slots(("count",), ("label", "boxes")),
    "absent.answer": Slots((), ("label",)),
}

SECTIONS: Mapping[str, Mapping[str, Slots]] = {
    "boxes": OBJECTS,
    "remote": OBJECTS,
    "classes": {
        "list.question": Slots(("candidates",)),
        "letters.question": Slots(("options",)),
        "open.question": Slots(),
        "answer": Slots(("label",)),
    },
    "vqa": {
        "short.question": Slots(("question",)),
        "plain.question": Slots(("question",)),
        "choice.question": Slots(("question", "options")),
    },
    "captions": {"question": Slots()},
    "ocr": {
        "transcription.question": Slots(),
        "transcription.answer": Slots(("lines",)),
        "spotting.question": Slots(),
        "spotting.answer": Slots(("found",)),
        "reading.question": Slots(("boxes",)),
        "reading.answer": Slots(("text",)),
        "locating.question": Slots(("text",)),
        "locating.answer": Slots(("boxes",), ("text",)),
    },
    "views": {
        "detection.question": Slots(("label",)),
        "detection.item": Slots(("view", "boxes"), ("label",)),
    },
}
"""Kind → section → slots."""
