"""The three pages: what a check found, samples as the model gets them, packs as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tessera.curation.record_table import Place
from tessera.curation.report.drawings import histogram_figure, legend, packs_figure
from tessera.curation.report.page import render_page, table
from tessera.curation.report.samples import sample_cards
from tessera.curation.report.seats import PackView
from tessera.curation.report.seen import Seen
from tessera.curation.survey import SourceSurvey, Survey

MOST_FAULTS = 100
"""Faults of a source that the page lists."""


def check_page(found: Survey, samples: Sequence[Seen], packs_per_step: int) -> str:
    """The page of a check."""
    config = found.config
    note = (
        f"{found.records:,} records, {found.faulty:,} with a fault; packs of {config.max_tokens:,} tokens "
        f"and {config.max_tiles} tiles, longer records: {config.over_long}"
    )
    sections = [
        ("Sources", _sources(found)),
        ("One epoch", _epoch(found, packs_per_step)),
        *((source.name, _source(source, found)) for source in found.sources),
        ("Exact duplicates", _pairs(found.exact_pairs)),
        ("Nearly the same", _pairs(found.near_pairs)),
        ("Repeated ids", _pairs(found.id_pairs)),
        ("Samples", sample_cards(samples)),
    ]
    return render_page("Data check", note, sections)


def preview_page(title: str, samples: Iterable[Seen]) -> str:
    """The page of a preview."""
    note = "Highlighted tokens are trained; hover for their loss weight. Boxes are drawn where they are read."
    return render_page(title, note, [("Samples", sample_cards(samples))])


def pack_page(view: PackView) -> str:
    """The page of packs."""
    note = (
        f"{view.packs:,} packs of {view.max_tokens:,} tokens and {view.max_tiles} tiles hold "
        f"{view.samples:,} samples{'' if view.whole else ' (the begin of the epoch)'}; at least "
        f"{view.bound:,} are needed. Tokens {view.token_fill:.1%} full, tiles {view.tile_fill:.1%}; "
        "nothing is padded."
    )
    rows = [(name, *counts) for name, counts in zip(view.names, view.by_source, strict=True)]
    sections = [
        ("Packs", legend(view.names) + packs_figure(view)),
        ("Sources", table(("source", "samples", "tokens", "tiles"), rows)),
    ]
    return render_page("Packs", note, sections)


def _sources(found: Survey) -> str:
    head = (
        "source", "records", "faulty", "exact duplicates", "near duplicates", "repeated ids", "tokens",
        "trained", "tiles", "too long",
    )  # fmt: skip
    return table(
        head,
        [
            (
                s.name, s.size, s.log.records, s.exact, s.near, s.repeated_ids, s.lengths.tokens.total,
                s.lengths.trained, s.lengths.tiles.total, s.lengths.too_long,
            )
            for s in found.sources
        ],
    )  # fmt: skip


def _epoch(found: Survey, packs_per_step: int) -> str:
    named = [(s.name, s.estimate) for s in found.sources] + [("all, mixed", found.estimate)]
    rows = [
        (
            name,
            e.samples,
            e.packs,
            e.bound,
            e.steps(packs_per_step),
            _share(e.token_fill),
            _share(e.tile_fill),
        )
        for name, e in named
        if e is not None
    ]
    head = (
        "source",
        "samples",
        "packs",
        "at least",
        f"steps of {packs_per_step}",
        "tokens full",
        "tiles full",
    )
    return table(head, rows)


def _source(source: SourceSurvey, found: Survey) -> str:
    lengths = source.lengths
    figures = histogram_figure("tokens", lengths.tokens) + histogram_figure("tiles", lengths.tiles)
    said = []
    if lengths.too_long:
        said.append(
            f"{lengths.too_long:,} records are too long; {found.config.over_long}: "
            f"{lengths.dropped:,} dropped, {lengths.shrunk:,} with fewer tiles, {lengths.split:,} split"
        )
    scale, evidence = source.boxes.guess()
    if source.boxes.boxes:
        said.append(f"boxes: {scale} ({evidence})")
    if total := source.scripts.total():
        mix = ", ".join(f"{name} {count / total:.1%}" for name, count in source.scripts.most_common(8))
        said.append(f"letters by script: {mix}")
    notes = "".join(f"<p>{escape(line)}</p>" for line in said)
    return f"<div class=row>{figures}</div>{notes}{_faults(source)}"


def _faults(source: SourceSurvey) -> str:
    counts = table(("fault", "count"), [(str(r), n) for r, n in source.log.counts.most_common()])
    rows = [
        (f"{fault.file}:{fault.line}", fault.field, str(fault.reason), fault.detail, fault.remedy)
        for fault in source.log.kept[:MOST_FAULTS]
    ]
    return counts + table(("place", "field", "fault", "detail", "remedy"), rows, "said")


def _share(value: float) -> str:
    return f"{value:.1%}"


def _pairs(pairs: Sequence[tuple[Place, Place]]) -> str:
    rows = [(f"{a[0]}:{a[1]}", f"{b[0]}:{b[1]}") for a, b in pairs]
    return table(("record", "repeats"), rows, "said")
