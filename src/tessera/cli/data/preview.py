"""`tessera data preview MANIFEST`: random records as the model gets them, in the terminal and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.text import Text

from tessera.cli.command import CountingCommand
from tessera.cli.data.input import ManifestCommand
from tessera.cli.terminal.tables import Terminal, say
from tessera.curation.report.pages import preview_page
from tessera.curation.report.seen import Seen, choose_records, look
from tessera.packing.samples.weights import Averaging
from tessera.pages.blocks import MarkedText
from tessera.pages.page import write_page
from tessera.runtime.shown import counted

_SHOWN = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
"""Control characters as their pictures: data must not steer the terminal."""
LONGEST = 1500
"""Characters of a sample that the terminal shows."""


@dataclass(frozen=True, kw_only=True)
class PreviewCommand(ManifestCommand, CountingCommand):
    """Show random records: tokens, tiles, what is trained; pictures and their boxes are on the page."""

    count: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 20
    """How many records, all sources in turn."""
    source: str | None = None
    """Only this source."""
    seed: int = 0
    """Another seed shows others."""
    averaging: Averaging = "square"
    """Weight of a trained token in a sample of n: token 1, sample 1/n, square 1/sqrt(n)."""
    out: Path = Path("preview.html")
    """Where the page is written."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: False}

    def run(self) -> int:
        self.at_least(count=1)
        encoder, entries = self.encoder(), self.sources(self.source)
        chosen = choose_records(entries, self.count, self.seed)
        samples = [look(entries[number], encoder, record, self.averaging) for number, record in chosen]
        show(Terminal(), samples)
        title = f"{counted(len(samples), 'sample')} of {self.manifest.name}"
        print(f"page: {write_page(self.out, preview_page(title, samples))}")
        return int(any(seen.problem for seen in samples))


def show(console: Console, samples: Sequence[Seen]) -> None:
    """One sample after the other; trained parts are green."""
    for seen in samples:
        console.rule(f"{seen.source}  {seen.place}", align="left", characters="─")
        if seen.problem:
            say(console, seen.problem, style="red")
            continue
        say(
            console,
            f"{counted(seen.tokens, 'token')}, {counted(seen.tiles, 'tile')}, {seen.trained:,} trained",
            style="dim",
        )
        console.print(written(seen), soft_wrap=True)
        for side in seen.sides:
            console.print(marked(side), soft_wrap=True)


def marked(side: MarkedText) -> Text:
    """An answer below its name, with what its counterpart lacks in reverse; cut when it is long."""
    colour = "green" if side.good else "red"
    text = Text(f"{side.name}\n", style="dim")
    for differs, piece in side.pieces:
        text.append(piece.translate(_SHOWN), style=f"not dim {colour}{' reverse' if differs else ''}")
    if len(text) > LONGEST:
        text.truncate(LONGEST)
        text.append(" …", style="dim")
    return text


def written(seen: Seen) -> Text:
    """The text with trained parts highlighted, cut when it is long."""
    text = Text()
    styles = {"control": "dim", "slots": "blue", "text": ""}
    for piece in seen.pieces:
        text.append(piece.text.translate(_SHOWN), style="green" if piece.weight > 0 else styles[piece.kind])
        if len(text) > LONGEST:
            text.append(" …", style="dim")
            break
    return text
