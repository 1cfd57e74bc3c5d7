"""Folders as runs leave them, written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def line(index: object, score: float, **other: Any) -> dict[str, Any]:
    """A line of `predictions.jsonl`."""
    said = "yes" if score else "no"
    row = {"index": index, "question": f"Is there a {index}?", "prompt": f"<image>\nIs there a {index}?"}
    row |= {"options": {}, "answers": ["yes"], "prediction": said, "extracted": said, "score": score}
    return (
        row
        | {"why": "", "parts": {}, "tiles": [[2, 1]], "tokens": {"prompt": 9, "new": 1}, "fields": {}}
        | other
    )


def write_run(folder: Path, lines: Sequence[dict[str, Any]], **result: Any) -> Path:
    """Both files; the folder."""
    folder.mkdir(parents=True)
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in lines)
    (folder / "predictions.jsonl").write_text(text + "\n", encoding="utf-8")
    told = {"benchmark": "pope", "preset": "official", "model": "toy", "figures": {}, "settings": {}} | result
    (folder / "result.json").write_text(json.dumps(told), encoding="utf-8")
    return folder
