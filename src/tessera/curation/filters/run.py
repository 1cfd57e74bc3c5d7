"""A filter run: two passes over the sources, verdicts as rows in the order of the records, counts of both."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.judge import Judge, JudgedRecord, measure
from tessera.curation.filters.length import LengthProfile, LengthSample
from tessera.curation.filters.models.model_steps import ModelSteps, load_prompts
from tessera.curation.filters.models.reply_store import Asking, ReplyStore
from tessera.curation.filters.models.scorer import RecordScorer
from tessera.curation.filters.rules.finding import VERDICTS
from tessera.curation.filters.sources import Filtered, Key, chunk_keys, map_on_ray
from tessera.records.writing import json_line
from tessera.runtime.atomic import atomic_write
from tessera.runtime.progress import Progress
from tessera.runtime.workers import map_in_workers

VERDICT_FILE = "verdicts.jsonl"
RUN_FILE = "run.json"
REPLY_FILE = "replies.sqlite"
VERSION = 1
"""Counts up when rules or rows change their meaning: older verdicts are made again."""


def _counters() -> dict[str, Counter[str]]:
    return defaultdict(Counter)


class Summary(BaseModel):
    """What is counted while verdicts go by."""

    sources: dict[str, Counter[str]] = Field(default_factory=_counters)
    """source -> records, text, multimodal, exempt, keep, borderline, drop"""
    rules: dict[str, Counter[str]] = Field(default_factory=_counters)
    """rule -> keep, borderline, drop and, of a model's answers, unreadable"""
    domains: Counter[str] = Field(default_factory=Counter)
    model: dict[str, Any] = {}
    """requests, tokens and cost; empty when no model was asked"""

    def add(self, name: str, judged: JudgedRecord) -> None:
        """Count a record."""
        kind = "exempt" if judged.exempt else "multimodal" if judged.multimodal else "text"
        self.sources[name].update(["records", kind, judged.verdict])
        self.domains.update([] if judged.domain is None else [judged.domain])
        for row in judged.rows:
            unread = row.rule.startswith("model_") and row.score is None
            self.rules[row.rule].update([row.verdict, *(["unreadable"] if unread else [])])

    @property
    def total(self) -> Counter[str]:
        """Counts of all sources together."""
        return sum(self.sources.values(), Counter())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the total first; `Summary` reads them back."""
        total = {verdict: self.total[verdict] for verdict in ("records", *VERDICTS)}
        return {"total": total, **self.model_dump(), "rules": dict(sorted(self.rules.items()))}


@dataclass(frozen=True)
class Run:
    """What shall be filtered and where its verdicts go. `on`: several processes here, or a Ray cluster."""

    sources: tuple[Filtered, ...]
    config: FilterConfig
    out: Path
    workers: int = 0
    on: Literal["processes", "ray"] = "processes"

    @property
    def size(self) -> int:
        return sum(filtered.size for filtered in self.sources)

    def stamp(self) -> str:
        """The fingerprint of settings, prompts, model and files; the same stamp, the same verdicts."""
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
        return Summary(**found["summary"]) if found["stamp"] == self.stamp() else None

    def execute(self, scorer: RecordScorer | None, progress: Progress) -> Summary:
        """Judge every record and write verdicts and summary; nothing else is written or deleted."""
        self.out.mkdir(parents=True, exist_ok=True)
        judge = Judge(self.sources, self.config, self._profiles(progress))
        # Second pass: what the rules say, record by record in order.
        stream = chain.from_iterable(self._map(judge, chunk_keys(self.sources), list[JudgedRecord]))
        summary = Summary()
        if scorer is None or self.config.model is None:
            self._write(stream, summary, progress)
        else:
            with closing(ReplyStore(self.out / REPLY_FILE)) as store:
                asking = Asking(scorer, store)
                steps = ModelSteps(self.config, load_prompts(self.config.prompts), asking)
                self._write(steps.judge(stream), summary, progress)
            summary.model = asking.bill(self.config.model)
        told = {"stamp": self.stamp(), "summary": summary.as_dict()}
        with atomic_write(self.out / RUN_FILE) as file:
            file.write((json.dumps(told, indent=2) + "\n").encode())
        return summary

    def _profiles(self, progress: Progress) -> tuple[LengthProfile | None, ...]:
        """First pass: the usual lengths of every source; left out when no rule needs them."""
        if "length_outlier" not in self.config.rules:
            return (None,) * len(self.sources)
        samples = [LengthSample() for _ in self.sources]
        todo, done = chunk_keys(self.sources), 0
        found = self._map(partial(measure, self.sources), todo, list[tuple[int, float]])
        for (number, start, stop), kept in zip(todo, found, strict=True):
            samples[number].merge(kept)
            done += stop - start
            progress("lengths", done, self.size)
        return tuple(sample.profile() for sample in samples)

    def _map(self, function: Callable[[Key], Any], todo: Sequence[Key], result: Any) -> Iterator[Any]:
        if self.on == "ray":
            return map_on_ray(function, todo, result)
        return map_in_workers(function, todo, self.workers, prefetch=4)

    def _write(self, stream: Iterator[JudgedRecord], summary: Summary, progress: Progress) -> None:
        """Rows to a file that takes its name when it is complete."""
        names = [filtered.source.name for filtered in self.sources]
        with atomic_write(self.out / VERDICT_FILE) as lines:
            for done, judged in enumerate(stream, start=1):
                summary.add(names[judged.source], judged)
                lines.writelines(map(json_line, judged.as_rows(names[judged.source])))
                if not done % 256 or done == self.size:
                    progress("verdicts", done, self.size)


_MEANINGFUL: dict[str, Any] = {
    **dict.fromkeys(("rules", "quality", "repetition", "domains", "longest_prompt", "score_dropped"), True),
    "model": {"address", "checkpoint", "name", "max_tokens", "extra"},
}
"""Settings that change verdicts; the others only concern what is made of them, or how fast they come."""
