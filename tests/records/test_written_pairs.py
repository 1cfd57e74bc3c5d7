"""Pairs that are written as lines are read as they were, in MMPR's form where they came in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.chat.message import Conversation, Text
from tessera.records.manifest import DatasetSpec
from tessera.records.readers.records import RecordReader
from tessera.records.writing import RecordText
from tests.records.jsonl_files import write_clip, write_picture

MMPR = [
    {"image": "a.png", "question": "<image>\nwhat?", "chosen": "cat", "rejected": "dog", "answer_gt": "cat"},
    {"image": ["a.png", "b.png"], "question": "<image>, <image>?", "chosen": "1", "rejected": "2"},
    {"video": "clip", "clip": [1, 2], "question": "<video>\nwhat?", "chosen": "1", "rejected": "2"},
    {"question": "1 + 1?", "chosen": "2", "rejected": "3", "chosen_meta": {"by": "a"}, "rejected_meta": [1]},
    {"question": "Is `<image>` a mark?", "chosen": "yes, <image> is", "rejected": "no", "text_only": True},
]  # fmt: skip
SAID = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
ASKED = {"role": "user", "content": "<image>what?"}
TRL = [
    {"images": ["a.png"], "prompt": [*SAID, ASKED], "chosen": "a cat", "rejected": "a dog"},
    {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"},
]


def read(file: Path, **settings: Any) -> RecordReader:
    return RecordReader(DatasetSpec(name="a", annotation=file, root=file.parent, **settings))


def said(talk: Conversation) -> tuple[list[list[object]], tuple[str, ...]]:
    """Roles, joined texts and media in order; two texts beside each other are one."""
    found: list[list[object]] = []
    for message in talk.messages:
        parts: list[object] = [message.role]
        for part in message.parts:
            if isinstance(part, Text) and isinstance(parts[-1], Text):
                parts[-1] = Text(parts[-1].text + part.text)
            else:
                parts.append(part)
        found.append(parts)
    return found, tuple(answer.text for answer in talk.alternatives)


@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize(("records", "form"), [(MMPR, "mmpr"), (TRL, "sharegpt")])
def test_what_is_written_is_read_again(
    tmp_path: Path, records: list[dict[str, Any]], form: str, system: str | None
) -> None:
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name)
    write_clip(tmp_path / "clip", 4)
    (tmp_path / "pairs.json").write_text(json.dumps(records))
    source = read(tmp_path / "pairs.json", system=system)
    text = RecordText(source.spec, source, tmp_path / "media")
    assert not text.verbatim
    lines = [text.line(number) for number in range(len(records))]
    (tmp_path / "again.jsonl").write_bytes(b"".join(lines))
    again = read(tmp_path / "again.jsonl", system=system)
    assert again.form() == form
    for number in range(len(records)):
        assert said(again.conversation(number)) == said(source.conversation(number))
    if form == "mmpr":
        assert [json.loads(line) for line in lines] == records


def test_rejects_hold_both_answers(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text(json.dumps(MMPR[3:4]))
    source = read(tmp_path / "pairs.json")
    assert "3" in RecordText(source.spec, source, tmp_path).raw(0)
