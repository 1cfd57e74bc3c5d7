"""`tessera data build KIND ANNOTATIONS --out DIR`: conversations from ordinary annotations."""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import create_model

from tessera.annotations.build import KINDS, BuildReport, build
from tessera.annotations.settings import BuildSettings
from tessera.annotations.wording import write_templates
from tessera.annotations.writer import META
from tessera.cli.command import Command, ReportingCommand, Verb
from tessera.cli.terminal.tables import Terminal, counts_table, say
from tessera.runtime.progress import progress_bars

ANNOTATIONS = Annotated[
    Path,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="ANNOTATIONS", help="The annotation file or folder."),
]


@dataclass(frozen=True, kw_only=True)
class BuildCommand(ReportingCommand):
    """A build of one kind."""

    kind: tyro.conf.Suppress[str]
    settings: BuildSettings

    def targets(self) -> Mapping[Path, bool]:
        return {self.settings.out: True}

    def run(self) -> int:
        with progress_bars() as bars:
            report = build(self.kind, self.settings, bars)
        self.tell(report.as_json, lambda: show(report, self.settings.out))
        return 1 if report.faults else 0


@dataclass(frozen=True, kw_only=True)
class TemplatesCommand(Command):
    """Write the shipped wording to a folder for editing."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Folder to write to; made when it is missing."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.folder: True}

    def run(self) -> int:
        written = write_templates(self.folder)
        folder = self.folder
        print(f"{len(written)} template files in {folder}; edit them and build with --templates {folder}")
        return 0


def build_command(kind: str) -> type[BuildCommand]:
    """The command of a kind: its options are the settings of that kind."""
    settings = KINDS[kind].settings
    positional = create_model(settings.__name__, __base__=settings, annotations=(ANNOTATIONS, ...))
    fields: list[tuple[str, Any, Any] | tuple[str, Any]] = [
        ("kind", tyro.conf.Suppress[str], kind),
        ("settings", Annotated[positional, tyro.conf.arg(name="")]),
    ]
    name = f"{settings.__name__}Command"
    made = make_dataclass(name, fields, bases=(BuildCommand,), frozen=True, kw_only=True)
    made.__doc__ = settings.__doc__
    return made


BUILD = {kind: Verb(str(KINDS[kind].settings.__doc__), build_command(kind)) for kind in KINDS} | {
    "--write-templates": Verb("Write the shipped wording into a folder.", TemplatesCommand)
}
"""The verbs behind `tessera data build`."""


def show(report: BuildReport, out: Path) -> None:
    """Counts as a table, what was left out, and how to look at the result."""
    console = Terminal()
    sides = report.sides.values()
    rows = {what: [side[what] for side in sides] for what in ("pictures", "records", "turns")}
    for form in sorted({form for side in sides for form in side["forms"]}):
        rows[f"  {form}"] = [side["forms"].get(form, 0) for side in sides]
    console.print(counts_table(report.kind, report.sides, rows))
    say(console, f"read     {report.items:>9,}  items")
    for what, counts in (("by rule", report.rules), ("faults", report.faults)):
        say(console, *(f"{what:<9}{count:>9,}  {reason}" for reason, count in counts.items()))
    say(console, *report.first[:5], style="red")
    say(console, f"written to {out}: {', '.join(file.name for file in report.files)}")
    if (held_out := out / META["val"]) in report.files and report.sides["val"]["records"]:
        options = f"--stages.0.sources.0.meta {out / META['train']} --stages.0.validation {held_out}"
        say(console, f"train on it, with the loss on what is held out: tessera train fine_tune {options}")
    say(console, f"look at it: tessera data preview {out / 'meta.json'} -n 20")
