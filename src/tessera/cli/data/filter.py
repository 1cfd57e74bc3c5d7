"""`tessera data filter MANIFEST`: rules and model scores, a review page, a clean manifest."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tessera.cli.command import ReportingCommand, WorkersCommand
from tessera.cli.data.input import ManifestCommand
from tessera.cli.terminal.tables import Terminal, counts_table, say
from tessera.curation.filters.clean import Cleaned, refuse_overwriting, write_clean
from tessera.curation.filters.config import JudgeModelConfig, read_config
from tessera.curation.filters.models.endpoint import EndpointScorer
from tessera.curation.filters.models.model_steps import load_prompts
from tessera.curation.filters.models.scorer import RecordScorer, Reply
from tessera.curation.filters.outcome import Decisions, read_decisions
from tessera.curation.filters.review import write_review
from tessera.curation.filters.run import VERDICT_FILE, Run, Summary
from tessera.curation.filters.sources import open_filtered
from tessera.records.manifest import read_meta
from tessera.runtime.locks import FolderLock
from tessera.runtime.progress import Progress, progress_bars


@dataclass(frozen=True, kw_only=True)
class FilterCommand(ManifestCommand, WorkersCommand, ReportingCommand):
    """Judge every record of a manifest by rules and, if asked, by a model. Nothing is deleted.

    OUT gets verdicts.jsonl (a row per verdict) and review.html (look, overrule, download decisions.json).
    With --decisions or --write it also gets meta.json (the clean manifest), clean/ and rejects.jsonl.
    """

    out: Path
    """Folder for verdicts, review page, replies of the model and the clean manifest."""
    config: Path | None = None
    """YAML file with rules, model and thresholds; all rules at their defaults without one."""
    decisions: Path | None = None
    """The review page's file, or JSON lines with source, record and verdict: write the clean manifest."""
    write: bool = False
    """Write the clean manifest by the verdicts alone; borderline records as the config says."""
    on: Literal["processes", "ray"] = "processes"
    """Where the rules run: processes of this machine, or Ray Data (needs ray)."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: True}

    def run(self) -> int:
        config = read_config(self.config)
        load_prompts(config.prompts)  # a mistake there shows before anything runs
        specs = read_meta(self.manifest)
        refuse_overwriting(self.manifest, specs, self.out)
        run = Run(open_filtered(specs, config), config, self.out, self.processes, self.on)
        decisions = self.choices(run)
        with FolderLock(self.out), progress_bars() as bars:
            existing = run.existing() if self.decisions is not None else None
            summary = existing or judge(run, bars)
            cleaned = write_clean(run, specs, decisions, bars) if decisions is not None else None
        page = write_review(run) if existing is None else None
        done = FilterResult(run.out / VERDICT_FILE, summary, page, cleaned)
        self.tell(done.as_json, done.show)
        return 0

    def choices(self, run: Run) -> Decisions | None:
        """The decisions to write by; None when nothing shall be written yet."""
        if self.decisions is not None:
            return read_decisions(self.decisions, run.stamp(), [(f.source.name, f.size) for f in run.sources])
        return {} if self.write else None


def judge(run: Run, progress: Progress) -> Summary:
    """Run the rules and the model that the config names."""
    with open_scorer(run.config.model) as scorer:
        return run.execute(scorer, progress)


@contextmanager
def open_scorer(config: JudgeModelConfig | None) -> Iterator[RecordScorer | None]:
    """The scorer that the config names, if any; a checkpoint's engine is loaded only here."""
    if config is None:
        yield None
        return
    if config.checkpoint is not None:
        import tessera
        from tessera.engine.local_scorer import LocalScorer

        name = f"{config.checkpoint} {config.max_tokens}"
        model = tessera.load(config.checkpoint)
        yield LocalScorer(model, name, config.concurrency, config.max_tokens, Reply)
        return
    key = os.environ.get(config.key_variable) if config.key_variable else None
    if config.key_variable and not key:
        raise ValueError(f"model.key_variable: the environment has no {config.key_variable}; set it")
    with closing(EndpointScorer(config, key)) as scorer:
        yield scorer


@dataclass(frozen=True)
class FilterResult:
    """What a run found and wrote. No page: it is there already. Nothing cleaned: decisions are missing."""

    verdicts: Path
    summary: Summary
    page: Path | None
    cleaned: Cleaned | None

    def as_json(self) -> dict[str, Any]:
        """Counts and paths."""
        told = {**self.summary.as_dict(), "verdicts": self.verdicts, "review": self.page}
        return told if self.cleaned is None else told | {"clean": vars(self.cleaned)}

    def show(self) -> None:
        """A table of sources, one of rules, the model's bill, and what to do next."""
        console, summary = Terminal(), self.summary
        kinds = ("records", "text", "multimodal", "exempt", "keep", "borderline", "drop")
        sources = {name: [found[kind] for kind in kinds] for name, found in summary.sources.items()}
        console.print(counts_table("source", kinds, sources))
        if summary.rules:
            verdicts = ("borderline", "drop", "unreadable")
            rules = {name: [rows[v] for v in verdicts] for name, rows in sorted(summary.rules.items())}
            console.print(counts_table("rule", verdicts, rules))
        if summary.domains:
            domains = summary.domains.most_common()
            console.print("domains: " + ", ".join(f"{name} {count:,}" for name, count in domains))
        if bill := summary.model:
            say(
                console,
                f"model: {bill['asked']:,} answers ({bill['failed']:,} failed), "
                f"{bill['from_store']:,} known before, "
                f"{bill['prompt_tokens']:,} + {bill['answer_tokens']:,} tokens, cost {bill['cost']}",
            )
        say(console, *self._ways_on())

    def _ways_on(self) -> Iterator[str]:
        yield f"verdicts  {self.verdicts}"
        if self.page is not None:
            yield f"review    {self.page}"
        if self.cleaned is None:
            yield "next      review, then give the download: --decisions decisions.json; or --write"
            return
        total = sum(self.cleaned.sources.values(), start=Counter[str]())
        yield (
            f"clean     {self.cleaned.manifest}: {total['kept']:,} kept, {total['rejected']:,} rejected, "
            f"{total['overruled']:,} overruled, {total['undecided']:,} borderline undecided"
        )
        yield f"rejects   {self.cleaned.rejects}"
