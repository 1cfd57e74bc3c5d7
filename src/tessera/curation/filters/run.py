"""A filter run: two passes over the sources, verdicts as rows in the order of the records, a summary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.judge import Filtered, Judge, Judged, Key, Measure, judged_from, keys
from tessera.curation.filters.length import LengthProfile, LengthSample
from tessera.curation.filters.models.model_steps import ModelSteps
from tessera.curation.filters.models.prompts import load_prompts
from tessera.curation.filters.models.reply_store import Asking, ReplyStore
from tessera.curation.filters.models.scorer import Scorer
from tessera.curation.filters.on_ray import map_on_ray
from tessera.curation.filters.summary import Summary, summary_from
from tessera.runtime.progress import Progress
from tessera.runtime.workers import map_in_workers

VERDICT_FILE = "verdicts.jsonl"
RUN_FILE = "run.json"
REPLY_FILE = "replies.sqlite"
VERSION = 1
"""Counts up when rules or rows change their meaning: older verdicts are made again."""


@dataclass(frozen=True)
class Run:
    """What shall be filtered and where its verdicts go. `on`: several processes here, or a Ray cluster."""

    sources: tuple[Filtered, ...]
    config: FilterConfig
    out: Path
    workers: int = 0
    on: Literal["processes", "ray"] = "processes"

    @property
    def names(self) -> list[str]:
        """The sources' names in order."""
        return [filtered.source.name for filtered in self.sources]

    @property
    def size(self) -> int:
        """Records of all sources."""
        return sum(filtered.size for filtered in self.sources)

    def stamp(self) -> str:
        """Another text when settings, prompts, model or files change; the same stamp, the same verdicts."""
        settings = self.config.model_dump(mode="json", include=_MEANINGFUL)
        facts: list[Any] = [VERSION, settings, load_prompts(self.config.prompts)]
        facts += [[f.source.name, f.source.fingerprint(), f.size, f.exempt, f.document] for f in self.sources]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()

    def existing(self) -> Summary | None:
        """The summary of verdicts that are there already and still hold."""
        file = self.out / RUN_FILE
        if not file.is_file() or not (self.out / VERDICT_FILE).is_file():
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
        return summary_from(found["summary"]) if found["stamp"] == self.stamp() else None

    def execute(self, scorer: Scorer | None, progress: Progress) -> Summary:
        """Judge every record and write verdicts and summary; nothing else is written or deleted."""
        self.out.mkdir(parents=True, exist_ok=True)
        profiles = self._profiles(progress)
        stream = self._judged(Judge(self.sources, self.config, profiles))
        summary = Summary()
        if scorer is None or self.config.model is None:
            self._write(stream, summary, progress)
        else:
            store = ReplyStore(self.out / REPLY_FILE)
            asking = Asking(scorer, store)
            steps = ModelSteps(self.config, load_prompts(self.config.prompts), asking, self.names)
            try:
                self._write(steps.judge(stream), summary, progress)
            finally:
                store.close()
            summary.bill(asking, self.config.model)
        told = {"stamp": self.stamp(), "summary": summary.as_dict()}
        _replace(self.out / RUN_FILE, json.dumps(told, indent=2) + "\n")
        return summary

    def _profiles(self, progress: Progress) -> tuple[LengthProfile | None, ...]:
        """First pass: the usual lengths of every source; left out when no rule needs them."""
        if "length_outlier" not in self.config.rules:
            return (None,) * len(self.sources)
        samples = [LengthSample() for _ in self.sources]
        todo, done = keys(self.sources), 0
        for key, (number, kept) in zip(todo, self._map(Measure(self.sources), todo), strict=True):
            samples[number].merge((int(hashed), float(length)) for hashed, length in kept)
            done += key[2] - key[1]
            progress("lengths", done, self.size)
        return tuple(sample.profile() for sample in samples)

    def _judged(self, judge: Judge) -> Iterator[Judged]:
        """Second pass: what the rules say, record by record in order."""
        todo = keys(self.sources)
        if self.on == "ray":
            for found in map_on_ray(_Plain(judge), todo):
                yield from map(judged_from, found)
            return
        for chunk in self._map(judge, todo):
            yield from chunk

    def _map(self, function: Callable[[Key], Any], todo: Sequence[Key]) -> Iterator[Any]:
        if self.on == "ray":
            return map_on_ray(function, todo)
        return map_in_workers(function, todo, self.workers, prefetch=4)

    def _write(self, stream: Iterator[Judged], summary: Summary, progress: Progress) -> None:
        """Rows to a file that takes its name when it is complete."""
        part = self.out / (VERDICT_FILE + ".part")
        names = self.names
        with part.open("w", encoding="utf-8") as lines:
            for done, judged in enumerate(stream, start=1):
                summary.add(names[judged.source], judged)
                lines.writelines(json.dumps(row.as_dict(), ensure_ascii=False) + "\n" for row in judged.rows)
                if not done % 256 or done == self.size:
                    progress("verdicts", done, self.size)
        part.replace(self.out / VERDICT_FILE)


_MEANINGFUL: dict[str, Any] = {
    **dict.fromkeys(("rules", "quality", "repetition", "domains", "longest_prompt", "score_dropped"), True),
    "model": {"address", "checkpoint", "name", "max_tokens", "extra"},
}
"""Settings that change verdicts; the others only concern what is made of them, or how fast they come."""


@dataclass(frozen=True)
class _Plain:
    """The judge with plain values as results, which a cluster can carry."""

    judge: Judge

    def __call__(self, key: Key) -> list[dict[str, Any]]:
        return [judged.as_dict() for judged in self.judge(key)]


def _replace(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
