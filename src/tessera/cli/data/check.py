"""`tessera data check MANIFEST`: every record looked at once, before training does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tessera.cli.command import ReportingCommand, WorkersCommand
from tessera.cli.data.input import LimitedCommand
from tessera.cli.data.tables import show_survey
from tessera.cli.terminal.tables import Terminal, say
from tessera.curation.repair import Repaired, write_repaired
from tessera.curation.report.pages import check_page
from tessera.curation.report.seen import choose_records, look
from tessera.curation.survey import Survey, survey
from tessera.curation.values import survey_values
from tessera.packing.config import Limits
from tessera.pages.page import write_page
from tessera.records.files.cache import scratch
from tessera.runtime.progress import progress_bars


@dataclass(frozen=True, kw_only=True)
class CheckCommand(LimitedCommand, WorkersCommand, ReportingCommand):
    """Check every record of a manifest: structure, media, lengths, duplicates, boxes, packs.

    Exit code 0 when training would start, 1 when too many records have a fault.
    """

    headers_only: bool = False
    """Do not decode pictures and clips: quick, but those that are cut off are not found."""
    tolerate: float = 0.0
    """Share of faulty records, 0 to 1, up to which the exit code is 0: for training with on_fault=skip."""
    packs_per_step: int = 128
    """Packs of an optimizer step over all ranks, for the number of steps."""
    fix: Path | None = None
    """Folder for a clean copy (JSONL and meta.json) and rejects.jsonl with the reasons."""
    report: Path | None = None
    """HTML page with tables, histograms and sample conversations."""
    samples: int = 12
    """Conversations on that page."""
    shown: int = 20
    """Faults listed of each source; all are counted."""

    def targets(self) -> Mapping[Path, bool]:
        return ({self.report: False} if self.report else {}) | ({self.fix: True} if self.fix else {})

    def run(self) -> int:
        if not 0 <= self.tolerate <= 1:
            raise ValueError(f"--tolerate {self.tolerate}: give a share from 0 to 1")
        self.at_least(max_tokens=1, max_tiles=0, workers=0, packs_per_step=1, samples=0, shown=0)
        limits = self.limits(Limits, workers=self.processes)
        (family, tokenizer), entries = self.described(), self.sources()
        encoder = family.encoder(tokenizer)
        with scratch() as folder:
            with progress_bars() as bars:
                found = survey(entries, encoder, limits, folder, bars, headers_only=self.headers_only)
                fixed = write_repaired(found, self.fix, bars) if self.fix is not None else None
            if self.report is not None:
                chosen = choose_records(entries, self.samples, seed=0)
                samples = [look(entries[number], encoder, record) for number, record in chosen]
                write_page(self.report, check_page(found, samples, self.packs_per_step))
            values = {"model": family.name} | survey_values(found, self.packs_per_step, self.shown)
            written = {} if fixed is None else {"fixed": asdict(fixed)}
            self.tell(lambda: values | written, lambda: self.show(found, fixed, family.name))
        return int(found.faulty > self.tolerate * found.records)

    def show(self, found: Survey, fixed: Repaired | None, model: str) -> None:
        """What was found and written as tables and lines."""
        console = Terminal()
        other = "" if self.model else "; --model or --family counts for another"
        say(console, f"counted with the tiles, template and tokenizer of {model}{other}")
        show_survey(console, found, self.packs_per_step, self.shown)
        if self.report is not None:
            say(console, f"report      {self.report}")
        if fixed is not None:
            kept, rejected = sum(fixed.kept.values()), sum(fixed.rejected.values())
            counts = f"{kept:,} kept, {rejected:,} left out"
            say(console, f"clean copy  {fixed.manifest}: {counts}, reasons in {fixed.rejects}")
