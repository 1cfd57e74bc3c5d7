"""`tessera data build KIND ANNOTATIONS --out DIR`: conversations from ordinary annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tessera.annotations.build import KINDS, BuildReport, build
from tessera.annotations.job import Progress as Report
from tessera.annotations.wording import write_templates

WRITE_TEMPLATES = "--write-templates"
SHORT = {
    "boxes": "COCO-style boxes: detection, grounding, region naming, counting",
    "remote": "DOTA-style rotated boxes of aerial pictures",
    "classes": "one folder per class, with candidate lists",
    "vqa": "questions and answers: VQAv2, CSV, JSONL",
    "captions": "captions: COCO, CSV, JSONL",
    "ocr": "text lines with boxes: JSONL, PaddleOCR, ICDAR",
    "views": "several camera views: DriveLM, JSONL",
}


def main(argv: list[str]) -> int:
    """Build and say what came of it: 0 done, 1 done but items with faults were left out."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] == WRITE_TEMPLATES:
        return copy_templates(argv[1:])
    kind, rest = argv[0], list(argv[1:])
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is unknown; choose one of {', '.join(KINDS)}")
    as_json = "--json" in rest
    if as_json:
        rest.remove("--json")
    if rest and not rest[0].startswith("-"):
        rest.insert(0, "--annotations")
    settings = tyro.cli(
        KINDS[kind].settings,
        args=rest,
        prog=f"tessera data build {kind}",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    with progress_bar(kind) as move:
        report = build(kind, settings, move)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        show(report, settings.out)
    return 1 if report.faults else 0


def usage() -> str:
    """The help page: every kind with its line."""
    lines = ["usage: tessera data build KIND ANNOTATIONS --out DIR [settings] [--json]"]
    lines += [f"       tessera data build {WRITE_TEMPLATES} DIR", ""]
    lines += [f"  {kind:<10}{SHORT[kind]}" for kind in KINDS]
    return "\n".join([*lines, "", "  tessera data build KIND --help lists the settings of a kind"])


def copy_templates(argv: list[str]) -> int:
    """Write the shipped wording to a folder for editing."""
    if len(argv) != 1:
        raise ValueError(f"{WRITE_TEMPLATES}: give one folder, as in {WRITE_TEMPLATES} my_wording")
    written = write_templates(Path(argv[0]))
    print(f"{len(written)} template files in {argv[0]}; edit them and build with --templates {argv[0]}")
    return 0


@contextmanager
def progress_bar(kind: str) -> Iterator[Report]:
    """Items done on stderr; the bar is gone afterwards."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(kind, total=None)

        def move(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield move


def show(report: BuildReport, out: Path) -> None:
    """Counts as a table, what was left out, and how to look at the result."""
    console = Console()
    forms = sorted({form for side in report.sides.values() for form in side["forms"]})
    table = Table(report.kind, *report.sides)
    for column in table.columns[1:]:
        column.justify = "right"
    for what in ("pictures", "records", "turns"):
        table.add_row(what, *(f"{side[what]:,}" for side in report.sides.values()))
    for form in forms:
        table.add_row(f"  {form}", *(f"{side['forms'].get(form, 0):,}" for side in report.sides.values()))
    console.print(table)
    console.print(f"read     {report.items:>9,}  items", markup=False, highlight=False)
    for what, counts in (("by rule", report.rules), ("faults", report.faults)):
        for reason, count in counts.items():
            console.print(f"{what:<9}{count:>9,}  {reason}", markup=False, highlight=False)
    for reject in report.first[:5]:
        console.print(str(reject), style="red", soft_wrap=True, markup=False, highlight=False)
    files = ", ".join(file.name for file in report.files)
    console.print(f"written to {out}: {files}", markup=False, highlight=False, soft_wrap=True)
    look = f"look at it: tessera data preview {out / 'meta.json'} -n 20"
    console.print(look, markup=False, highlight=False, soft_wrap=True)
