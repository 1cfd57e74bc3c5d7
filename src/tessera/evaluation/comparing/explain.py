"""One answer explained: the exact prompt, tiles of each picture, the reply, what was taken from it, why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tessera.evaluation.comparing.matching import few
from tessera.evaluation.comparing.stored import ANSWERS, StoredAnswer, read_answers, read_result
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class Explanation:
    """A stored answer with the run it belongs to."""

    benchmark: str
    preset: str
    model: str
    answer: StoredAnswer

    def as_json(self) -> dict[str, Any]:
        """Plain values: the line of `predictions.jsonl`, and the run's names."""
        return {**asdict(self), "answer": self.answer.model_dump(mode="json")}

    def lines(self) -> list[tuple[str, str]]:
        """(heading, text) in the order in which an answer comes about; what is not known is left out."""
        return [(name, text) for name, text in self._lines() if text]

    def _lines(self) -> Iterator[tuple[str, str]]:
        one = self.answer
        yield "run", ", ".join(filter(None, (self.benchmark, self.preset, self.model)))
        yield "index", one.index
        yield "prompt, as the model was given it", _prompt(one.prompt)
        yield "pictures and clips", "\n".join(_pictures(one))
        yield "tokens", _told(one.tokens)
        yield "reply", one.prediction or "(empty)"
        yield (
            "ended",
            {None: "", "length": "cut off: the most new tokens were reached"}.get(
                one.finish, one.finish or ""
            ),
        )
        yield "taken for the answer", "nothing" if one.extracted is None else one.extracted
        yield "right answers", "\n".join(dict.fromkeys(one.answers)) or "not known"
        yield "score", f"{one.score:.6g}" + (f": {one.why}" if one.why else "")
        yield "parts of the score", _told(one.parts)
        yield "columns", _told({name: shown(value, bare=True) for name, value in one.fields.items()})
        yield (
            "also stored",
            _told({name: shown(value, bare=True) for name, value in (one.model_extra or {}).items()}),
        )


def explain(folder: Path, index: str) -> Explanation:
    """The answer to one question of a run. ValueError naming indexes that are there for one that is not."""
    result, known = read_result(folder), []
    for answer in read_answers(folder / ANSWERS):
        if answer.index == index:
            return Explanation(result.benchmark, result.preset, result.model, answer)
        known.append(answer.index)
    raise ValueError(f"index {shown(index)} is not in {shown(folder)}; it has {len(known):,}: {few(known)}")


def _prompt(prompt: Any) -> str:
    """A text as it is; messages by role."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(isinstance(one, dict) for one in prompt):
        return "\n".join(f"[{one.get('role', '?')}] {one.get('content', one)}" for one in prompt)
    return _told(prompt)


def _pictures(one: StoredAnswer) -> Iterator[str]:
    """A line for each: its file, and its grid where that is known."""
    grids = one.tiles if isinstance(one.tiles, list) else []
    for at in range(max(len(one.media), len(grids))):
        file = str(one.media[at].path) if at < len(one.media) else f"picture {at + 1}"
        yield f"{file}: {_grid(grids[at])}" if at < len(grids) else file
    if one.tiles is not None and not isinstance(one.tiles, list):
        yield f"tiles: {_told(one.tiles)}"


def _grid(grid: Any) -> str:
    if isinstance(grid, list) and len(grid) == 2 and all(isinstance(side, int) for side in grid):
        columns, rows = grid
        return f"{columns} x {rows} tiles"
    return _told(grid)


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_told(inner)}" for name, inner in value.items())
    return "" if value is None else str(value)
