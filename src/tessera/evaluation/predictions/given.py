"""Answers that somebody wrote to a file, as replies to a benchmark's questions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tessera.chat.batch.lines import BatchReply, name_of
from tessera.evaluation.predictions.lmms_eval import by_index, read_samples
from tessera.evaluation.predictions.vlmevalkit import read_kit_table
from tessera.evaluation.rows.item import Item
from tessera.runtime.shown import shown

OWN = ("index", "prediction")


def read_predictions(file: Path, items: Sequence[Item]) -> dict[str, str]:
    """Index → what was said. A `.jsonl` is ours or lmms-eval's samples; a table is VLMEvalKit's.

    ValueError for what is none of these, naming the line, and for a file that is not there.
    """
    if not file.is_file():
        raise ValueError(f"--predictions {shown(file)}: no such file")
    if file.suffix.lower() != ".jsonl":
        return read_kit_table(file)
    with file.open(encoding="utf-8") as stream:
        first = next((line for line in stream if line.strip()), "")
    if '"doc_id"' in first:
        return by_index(read_samples(file), items)
    return _own(file)


def _own(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    with file.open(encoding="utf-8") as stream:
        for number, raw in enumerate(stream, 1):
            where = f"{shown(file)} line {number}"
            try:
                line = json.loads(raw)
                index, said = (str(line[name]) for name in OWN)
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"{where}: {error!r}; a line has {' and '.join(OWN)}") from error
            if index in found:
                raise ValueError(f"{where}: index {shown(index)} stands twice; keep one of them")
            found[index] = said
    return found


class GivenReplies:
    """Answers by the names that requests would have had."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = {name_of(index, 0): said for index, said in answers.items()}

    def __getitem__(self, name: str, /) -> BatchReply:
        """One of them; that there is none is a fault of it."""
        said = self._answers.get(name)
        return BatchReply(fault="not in the file") if said is None else BatchReply(said)
