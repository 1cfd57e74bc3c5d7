"""A file of responses to a file of scored ones, line by line."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tessera.align.preferences.lines import RefusedLines, open_lines, readable
from tessera.align.preferences.response import read_response
from tessera.align.preferences.verdicts import KINDS, score_response, scored_record
from tessera.records.writing import json_line
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown
from tessera.scoring.reasoned.extraction import VERSIONS
from tessera.scoring.reasoned.judging import AnswerJudge


@dataclass(frozen=True)
class ScoreReport:
    """What became of the lines. kinds: by verdict; modes: of the positives.

    formats: reasons of format negatives; refused: by field; first: some of them in words.
    """

    lines: int
    kinds: dict[str, int]
    modes: dict[str, int]
    formats: dict[str, int]
    refused: dict[str, int]
    first: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def refused_beside(output: Path) -> Path:
    """Where refused lines go: `scored.jsonl` → `scored.refused.jsonl`."""
    return output.with_name(f"{output.stem}.refused.jsonl")


def score_file(
    source: Path, output: Path, judge: AnswerJudge, version: str | None = None, progress: Progress = silent
) -> ScoreReport:
    """Judge every response of a file; scored lines go to `output`, others to the file beside it.

    version: of lines without prompt_version. Both files appear whole or not at all, in constant memory.
    ValueError when the file holds no responses, or is its own output.
    """
    if output.resolve() == source.resolve():
        raise ValueError(f"--output {shown(output)}: holds the responses; name another file")
    if version is not None and version not in VERSIONS:
        raise ValueError(f"prompt_version {shown(version)} is unknown; give one of {', '.join(VERSIONS)}")
    lines = open_lines(source)
    kinds: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    modes: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    beside = refused_beside(output)
    with disk_faults(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(beside) as rest, atomic_write(output) as scored:
            refused = RefusedLines(rest)
            read = partial(read_response, version=version)
            for _, response in readable(lines, read, refused, progress, "responses"):
                verdict = score_response(response, judge)
                kinds[verdict.kind] += 1
                if verdict.kind != "negative":
                    (formats if verdict.kind == "format" else modes)[verdict.mode or verdict.why] += 1
                scored.write(json_line(scored_record(response, verdict, judge)))
        if not refused.reasons:
            beside.unlink()
    told = [dict(counter.most_common()) for counter in (modes, formats, refused.reasons)]
    return ScoreReport(len(lines), dict(kinds), told[0], told[1], told[2], tuple(refused.first))
