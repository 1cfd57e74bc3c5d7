"""The three pages: what a check found, samples as the model gets them, packs as a picture."""

from collections.abc import Iterable, Iterator, Sequence

from tessera.curation.lengths import LengthSummary
from tessera.curation.report.packs import PackView
from tessera.curation.report.seen import Seen
from tessera.curation.survey import SourceSurvey, Survey
from tessera.pages import blocks
from tessera.pages.page import HtmlPage
from tessera.records.source import Place
from tessera.runtime.shown import counted

MOST_FAULTS = 100
"""Faults of a source that the page lists."""


def check_page(found: Survey, samples: Iterable[Seen], packs_per_step: int) -> HtmlPage:
    """The page of a check."""
    config = found.config
    note = (
        f"{counted(found.records, 'record')}, {found.faulty:,} with a fault; packs of "
        f"{config.max_tokens:,} tokens and {config.max_tiles} tiles, longer records: {config.over_long}"
    )
    sections: list[tuple[str, Sequence[blocks.PageBlock]]] = [
        ("Sources", [_sources(found.sources)]),
        ("One epoch", [_epoch(found, packs_per_step)]),
        *((source.name, list(_source(source, found))) for source in found.sources),
        ("Exact duplicates", [_pairs(found.exact_pairs)]),
        ("Nearly the same", [_pairs(found.near_pairs)]),
        ("Repeated ids", [_pairs(found.id_pairs)]),
        ("Samples", [_cards(samples)]),
    ]
    return HtmlPage("Data check", note, sections)


def preview_page(title: str, samples: Iterable[Seen]) -> HtmlPage:
    """The page of a preview."""
    note = (
        "Highlighted tokens are trained; hover for their loss weight. Boxes are drawn where they are read. "
        "Of two answers beside each other both are trained, and what the other one lacks is marked."
    )
    return HtmlPage(title, note, [("Samples", [_cards(samples)])])


def pack_page(view: PackView) -> HtmlPage:
    """The page of packs."""
    note = (
        f"{counted(view.packs, 'pack')} of {view.limits.max_tokens:,} tokens and {view.limits.max_tiles} "
        f"tiles hold {counted(view.samples, 'sample')}{'' if view.whole else ' (the begin of the epoch)'}; "
        f"at least {view.bound:,} are needed. Tokens {view.token_fill:.1%} full, tiles {view.tile_fill:.1%}; "
        "nothing is padded."
    )
    rows: list[blocks.TableRow] = [(name, *n) for name, n in zip(view.names, view.by_source, strict=True)]
    first = blocks.PackDrawing(view.shown, view.limits.max_tokens, view.limits.max_tiles, view.names)
    counts = blocks.Table(("source", "samples", "tokens", "tiles"), rows)
    return HtmlPage("Packs", note, [("First packs", [first]), ("Sources", [counts])])


def _sources(sources: Sequence[SourceSurvey]) -> blocks.Table:
    head = (
        "source", "records", "faulty", "exact duplicates", "near duplicates", "repeated ids", "tokens",
        "trained", "tiles", "too long",
    )  # fmt: skip
    rows = [
        (
            s.name, s.size, s.log.records, s.exact, s.near, s.repeated_ids, s.lengths.tokens.total,
            s.lengths.trained, s.lengths.tiles.total, s.lengths.too_long,
        )
        for s in sources
    ]  # fmt: skip
    return blocks.Table(head, rows)


def _epoch(found: Survey, packs_per_step: int) -> blocks.Table:
    whole = "all, mixed"
    steps = f"steps of {packs_per_step}"
    head = ("source", "samples", "packs", "at least", steps, "tokens full", "tiles full")
    rows = [
        (
            name, e.samples, e.packs, e.bound, e.steps(packs_per_step), f"{e.token_fill:.1%}",
            f"{e.tile_fill:.1%}",
        )
        for name, e in [*((s.name, s.estimate) for s in found.sources), (whole, found.estimate)]
        if e is not None
    ]  # fmt: skip
    return blocks.Table(head, rows, strong=[whole])


def _source(source: SourceSurvey, found: Survey) -> Iterator[blocks.PageBlock]:
    """Histograms, what stands out, and the faults."""
    lengths = source.lengths
    bars = (("tokens", lengths.tokens), ("tiles", lengths.tiles))
    yield blocks.SideBySide([blocks.histogram(name, b.labels, b.counts.tolist()) for name, b in bars])
    if lengths.pairs:
        yield pair_line(lengths)
        sides = (("tokens of chosen answers", lengths.chosen), ("of rejected answers", lengths.rejected))
        yield blocks.SideBySide([blocks.histogram(name, b.labels, b.counts.tolist()) for name, b in sides])
    if lengths.too_long:
        yield (
            f"{counted(lengths.too_long, 'record')} too long; {found.config.over_long}: "
            f"{lengths.dropped:,} dropped, {lengths.shrunk:,} with fewer tiles, {lengths.split:,} split"
        )
    if source.boxes.boxes:
        scale, evidence = source.boxes.guess()
        yield f"boxes: {scale} ({evidence})"
    if total := source.scripts.total():
        mix = ", ".join(f"{name} {count / total:.1%}" for name, count in source.scripts.most_common(8))
        yield f"letters by script: {mix}"
    yield from (f"note: {remark}" for remark in source.remarks)
    yield blocks.Table(("fault", "count"), [(str(r), n) for r, n in source.log.counts.most_common()])
    faults = [
        (f"{fault.file}:{fault.line}", fault.field, str(fault.reason), fault.detail, fault.remedy)
        for fault in source.log.kept[:MOST_FAULTS]
    ]
    yield blocks.Table(("place", "field", "fault", "detail", "remedy"), faults, words=True)


def pair_line(lengths: LengthSummary) -> str:
    """How many pairs a source has, and how long their answers are in the mean."""
    chosen, rejected = (side.total / lengths.pairs for side in (lengths.chosen, lengths.rejected))
    return f"{counted(lengths.pairs, 'pair')}; chosen answers {chosen:.0f} tokens, rejected {rejected:.0f}"


def _pairs(pairs: Sequence[tuple[Place, Place]]) -> blocks.Table:
    rows = [(f"{a[0]}:{a[1]}", f"{b[0]}:{b[1]}") for a, b in pairs]
    return blocks.Table(("record", "repeats"), rows, words=True)


def _cards(samples: Iterable[Seen]) -> blocks.SampleCards:
    return blocks.SampleCards([_card(seen) for seen in samples])


def _card(seen: Seen) -> blocks.SampleCard:
    """A record with its size, or with the reason why it can't be shown."""
    if seen.problem:
        return blocks.SampleCard((seen.source, seen.place), lines=[("bad", seen.problem)])
    share = seen.trained / max(1, seen.tokens)
    size = f"{counted(seen.tokens, 'token')}, {counted(seen.tiles, 'tile')}, {share:.0%} trained"
    return blocks.SampleCard((seen.source, seen.place, size), seen.media, (), seen.pieces, seen.sides)
