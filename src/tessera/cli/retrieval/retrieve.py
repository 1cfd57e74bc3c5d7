"""`tessera retrieve PLACE …`: pictures by texts, texts by pictures, pictures by pictures; and recall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from tessera.cli.retrieval.pair_model import EmbeddingCommand, require_there
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.engine.embedding.clips import FRAMES
from tessera.engine.embedding.embedder import Embedder
from tessera.engine.embedding.index import EmbeddingIndex, Made, Refreshed, read_index, refresh
from tessera.engine.embedding.items import items_of
from tessera.evaluation.embedding.found import Found, ask_index, found_page
from tessera.evaluation.embedding.measures import BothRecalls, retrieval
from tessera.evaluation.embedding.pairs import read_pairs
from tessera.pages.page import write_page
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown

INDEX = ".safetensors"
MOST_TOLD = 10
"""Files that cannot be read and are named; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class RetrieveCommand(EmbeddingCommand):
    """Find pictures and clips by texts, texts by pictures, pictures by pictures. Or measure how well."""

    place: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PLACE")]
    """A folder of pictures and clips, captions (.jsonl, .txt), an index; with --recall, pairs."""
    text: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT")] = ()
    """What to look for, in words; again for more."""
    like: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="PICTURE")] = ()
    """What to look for, as a picture; again for more."""
    top: int = 10
    """How many are told."""
    index: Path | None = None
    """File in which the rows of PLACE are kept; the next time only what changed is embedded."""
    page: Path | None = None
    """HTML page of what was found."""
    frames: int = FRAMES
    """Frames of a clip, whose rows are averaged: 1 or 8 were published."""
    recall: bool = False
    """PLACE holds pictures and their captions: tell recall at 1, 5 and 10 in both directions."""
    pictures: Path | None = None
    """With --recall: folder of the pictures or clips; by default that of the captions."""
    names: Path | None = None
    """With --recall: the pictures' names, a line for each line of PLACE, as XTD has them."""
    dual_softmax: bool = False
    """With --recall: scores times their softmax over all queries, as for clips."""

    def targets(self) -> Mapping[Path, bool]:
        return {file: False for file in (self.index, self.page) if file is not None}

    def run(self) -> int:
        self.at_least(top=1, frames=1)
        if not self.place.exists():
            raise ValueError(f"PLACE {shown(self.place)}: no such file or folder")
        return self.measured() if self.recall else self.searched()

    def measured(self) -> int:
        """Recall of pairs."""
        if self.text or self.like or self.index or self.page:
            raise ValueError("--recall: measures pairs; leave --text, --like, --index and --page out")
        data = read_pairs(self.place, self.pictures, self.names)
        model = self.opened()
        with progress_bars() as bars:
            figures = retrieval(
                model, data, self.mode, self.frames, dual_softmax=self.dual_softmax, progress=bars
            )
        self.tell(lambda: asdict(figures), lambda: show_recall(figures))
        return 0

    def searched(self) -> int:
        """Index, ask, tell. The exit code is 1 where something in PLACE could not be read."""
        if self.pictures or self.names or self.dual_softmax:
            raise ValueError("--pictures, --names, --dual-softmax: go with --recall; leave them out")
        if not (self.text or self.like or self.index):
            raise ValueError(
                "--text or --like: say what to look for (or --index FILE, to keep rows for later)"
            )
        if not all(text.strip() for text in self.text):
            raise ValueError("--text: one is empty; say what to look for")
        require_there(self.like, "--like")
        model = self.opened()
        with progress_bars() as bars:
            done = self.refreshed(model, bars)
        found = self.asked(model, done.index)
        if self.page is not None:
            write_page(self.page, found_page(self.place, found, model.name))
        self.tell(lambda: search_values(model.name, done, found), lambda: show_found(done, found))
        return 1 if done.unreadable else 0

    def refreshed(self, model: Embedder, progress: Any) -> Refreshed:
        """Rows of PLACE: those that are kept and did not change, the others made."""
        made = Made.by(model, self.mode, self.frames)
        if self.place.suffix.lower() == INDEX:
            return Refreshed(self.stored(made), len(self.stored(made).items), 0, 0, 0)
        old = read_index(self.index) if self.index is not None and self.index.exists() else None
        done = refresh(model, self.place, items_of(self.place), made, old, progress)
        if self.index is not None and (done.changed or old is None or old.made != made):
            done.index.save(self.index)
        return done

    def stored(self, made: Made) -> EmbeddingIndex:
        """An index that is asked as it is. ValueError where other ways made it, and for options in vain."""
        if self.index is not None or self.page is not None:
            raise ValueError(
                "--index, --page: name the folder or captions as PLACE, and the index by --index"
            )
        index = read_index(self.place)
        if index.made != made:
            told = f"{index.made.model}, mode {index.made.mode}, {counted(index.made.frames, 'frame')}"
            if (index.made.model, index.made.mode, index.made.frames) == (made.model, made.mode, made.frames):
                told += ", but of other weights or in another number format"
            raise ValueError(f"PLACE {shown(self.place)}: made by {told}; ask with these, or index anew")
        return index

    def asked(self, model: Embedder, index: EmbeddingIndex) -> list[Found]:
        """What every text and every picture finds."""
        found: list[Found] = []
        if self.text:
            found += ask_index(index, self.text, model.embed_texts(self.text), self.top)
        if self.like:
            rows = model.embed_images(self.like, self.mode)
            found += ask_index(index, self.like, rows, self.top, pictures=True)
        return found


def search_values(model: str, done: Refreshed, found: list[Found]) -> dict[str, Any]:
    """Everything as JSON has it."""
    counts = {name: getattr(done, name) for name in ("kept", "renewed", "added", "removed")}
    asked = [
        {
            "picture" if one.picture else "text": one.query,
            "hits": [{one.item.kind: one.item.name, "score": one.score} for one in one.hits],
        }
        for one in found
    ]
    index = {"items": len(done.index.items), **counts, "unreadable": list(done.unreadable)}
    return {"model": model, "index": index, "queries": asked}


def show_found(done: Refreshed, found: list[Found]) -> None:
    """A table for each query, below a line about the index."""
    console = Terminal()
    counts = f"{done.kept:,} kept, {done.renewed:,} renewed, {done.added:,} new, {done.removed:,} gone"
    say(console, f"{counted(len(done.index.items), 'row')}: {counts}")
    for one in found:
        table = Table("score", one.query)
        for hit in one.hits:
            table.add_row(f"{hit.score:.3f}", shown(hit.item.name, bare=True))
        console.print(table)
    for fault in done.unreadable[:MOST_TOLD]:
        say(console, f"left out: {fault}")
    if (more := len(done.unreadable) - MOST_TOLD) > 0:
        say(console, f"left out: {more:,} more")


def show_recall(figures: BothRecalls) -> None:
    """Both directions, a row each."""
    table = figures_table("queries", "number", *(f"R@{k}" for k in figures.by_text.at), "mean")
    for name, one in (("texts find pictures", figures.by_text), ("pictures find texts", figures.by_picture)):
        table.add_row(
            name, f"{one.queries:,}", *(f"{value:.1f}" for value in one.at.values()), f"{one.mean:.1f}"
        )
    Terminal().print(table)
