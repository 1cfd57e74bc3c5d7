"""`tessera data check MANIFEST`: every record looked at once, before training does."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from tessera.cli.data.input import Limited, at_least, manifest_sources, progress_bars
from tessera.cli.data.tables import show_survey
from tessera.curation.repair import Repaired, write_repaired
from tessera.curation.report.page import write_page
from tessera.curation.report.pages import check_page
from tessera.curation.report.seen import choose_records, look
from tessera.curation.survey import Survey, survey
from tessera.curation.values import survey_values
from tessera.packing.config import Limits
from tessera.records.files.cache import cache_root


@dataclass(frozen=True, kw_only=True)
class Arguments(Limited):
    """Check every record of a manifest: structure, media, lengths, duplicates, boxes, packs.

    Exit code 0 when training would start, 1 when too many records have a fault.
    """

    manifest: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
    """Manifest or InternVL's meta file: dataset name to annotation, root and more."""
    workers: int | None = None
    """Processes; one per core by default, 0 is this process."""
    headers_only: bool = False
    """Read picture headers only: quick, but truncated pictures are not found."""
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
    json: bool = False
    """Print one JSON object instead of tables."""


def main(argv: list[str]) -> int:
    """Check, report, and write the clean copy if asked."""
    given = tyro.cli(Arguments, args=argv, prog="tessera data check", config=(tyro.conf.FlagCreatePairsOff,))
    if not 0 <= given.tolerate <= 1:
        raise ValueError(f"--tolerate {given.tolerate}: give a share from 0 to 1")
    at_least(given, max_tokens=1, max_tiles=0, workers=0, packs_per_step=1, samples=0, shown=0)
    workers = os.cpu_count() or 1 if given.workers is None else given.workers
    limits = Limits(
        max_tokens=given.max_tokens, max_tiles=given.max_tiles, over_long=given.over_long, workers=workers
    )
    encoder, entries = given.encoder(), manifest_sources(given.manifest)
    cache_root().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="check") as folder:
        with progress_bars() as bars:
            headers_only = given.headers_only
            found = survey(entries, encoder, limits, Path(folder), bars, headers_only=headers_only)
            fixed = write_repaired(found, given.fix, bars) if given.fix is not None else None
        if given.report is not None:
            chosen = choose_records(entries, given.samples, seed=0)
            samples = [look(entries[number], encoder, record) for number, record in chosen]
            write_page(given.report, check_page(found, samples, given.packs_per_step))
        tell(found, fixed, given)
    return int(found.faulty > given.tolerate * found.records)


def tell(found: Survey, fixed: Repaired | None, given: Arguments) -> None:
    """Print what was found, as JSON or as tables."""
    if given.json:
        values = survey_values(found, given.packs_per_step, given.shown)
        if fixed is not None:
            values["fixed"] = {
                "manifest": str(fixed.manifest), "rejects": str(fixed.rejects), "kept": fixed.kept,
                "rejected": fixed.rejected,
            }  # fmt: skip
        print(json.dumps(values, ensure_ascii=False))
        return
    console = Console()
    show_survey(console, found, given.packs_per_step, given.shown)
    if given.report is not None:
        console.print(f"report      {given.report}", soft_wrap=True, highlight=False)
    if fixed is not None:
        kept, rejected = sum(fixed.kept.values()), sum(fixed.rejected.values())
        console.print(
            f"clean copy  {fixed.manifest}: {kept:,} kept, {rejected:,} left out, reasons in {fixed.rejects}",
            soft_wrap=True,
            highlight=False,
        )
