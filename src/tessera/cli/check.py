"""`tessera check META.json`: every record checked as training would check it, without training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from tessera.chat.encoder import Encoder
from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.data.check import CheckConfig, CheckReport, check_source
from tessera.data.faults import RecordFault
from tessera.data.loader import PackingConfig
from tessera.data.manifest import read_meta
from tessera.data.readers.records import RecordReader
from tessera.families.catalog import fresh


@dataclass(frozen=True)
class Arguments:
    """Check every record of a meta file: structure, roles, marks, boxes, media files, lengths."""

    meta: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="META.json")]
    """Meta file in InternVL's format: dataset name to annotation, root and more."""
    family: str = "scale_model"
    """Whose tiles and template the lengths are counted with."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that tokens are counted with; the shipped one by default."""
    max_tokens: int = PackingConfig().max_tokens
    """Longest sample in tokens."""
    max_tiles: int = PackingConfig().max_tiles
    """Most tiles of a sample."""
    headers_only: bool = False
    """Read picture headers only: quick, but truncated pictures are not found."""
    shown: int = 20
    """Faults listed; all are counted."""
    json: bool = False
    """Print one JSON object instead of tables."""


def main(argv: list[str]) -> int:
    """Check and report; exit code 1 when there are faults."""
    given = tyro.cli(Arguments, args=argv, prog="tessera check", config=(tyro.conf.FlagCreatePairsOff,))
    tokenizer = load_tokenizer(given.tokenizer or shipped_folder("tokenizer"))
    encoder = fresh(given.family, tokenizer).encoder(tokenizer)
    reports = check_meta(given, encoder)
    faults = [fault for report in reports.values() for fault in report.faults]
    if given.json:
        print(json.dumps(as_json(reports)))
    else:
        show(reports, faults, given.shown)
    return 1 if faults else 0


def check_meta(given: Arguments, encoder: Encoder) -> dict[str, CheckReport]:
    """The report of every dataset of the meta file, with a progress bar on stderr."""
    limits = CheckConfig(
        max_tokens=given.max_tokens, max_tiles=given.max_tiles, headers_only=given.headers_only
    )
    reports: dict[str, CheckReport] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for spec in read_meta(given.meta):
            source = RecordReader(spec)
            report = reports[spec.name] = CheckReport()
            move = partial(_move, bar, bar.add_task(spec.name, total=source.size))
            check_source(source, encoder, limits, report, move)
    return reports


def _move(bar: Progress, task: TaskID, _name: str, done: int, _total: int) -> None:
    bar.update(task, completed=done)


def show(reports: dict[str, CheckReport], faults: list[RecordFault], shown: int) -> None:
    """One table of datasets, then the first faults, one a line, ready to be clicked in an editor."""
    console = Console()
    table = Table("dataset", "records", "tokens", "tiles", "faults")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, report in reports.items():
        counts = (report.records, report.tokens, report.tiles, len(report.faults))
        table.add_row(name, *(f"{count:,}" for count in counts))
    console.print(table)
    for fault in faults[:shown]:
        console.print(str(fault), style="red", soft_wrap=True, markup=False, highlight=False)
    if len(faults) > shown:
        console.print(f"and {len(faults) - shown} more; list them with --shown {len(faults)}")


def as_json(reports: dict[str, CheckReport]) -> dict[str, object]:
    """Counts and every fault as plain values."""
    return {
        name: {
            "records": report.records,
            "tokens": report.tokens,
            "tiles": report.tiles,
            "counts": {str(reason): count for reason, count in report.counts.items()},
            "faults": [
                {
                    "file": str(fault.file),
                    "line": fault.line,
                    "field": fault.field,
                    "reason": str(fault.reason),
                    "detail": fault.detail,
                    "remedy": fault.remedy,
                }
                for fault in report.faults
            ],
        }
        for name, report in reports.items()
    }
