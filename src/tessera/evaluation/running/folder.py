"""What a run leaves in its folder: `predictions.jsonl`, a question a line, and `result.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tessera.runtime.atomic import atomic_write

PREDICTIONS, RESULT = "predictions.jsonl", "result.json"


def write_predictions(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """One line a question; the file appears whole. Half pairs of surrogates become `?`."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / PREDICTIONS) as stream:
        for line in lines:
            stream.write(json.dumps(_finite(line), ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def write_result(folder: Path, values: Mapping[str, Any]) -> None:
    """Figures and settings, to be read by people, too."""
    with atomic_write(folder / RESULT) as stream:
        stream.write(json.dumps(_finite(values), ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinities, for which JSON has no word."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
