"""What a check found, in the terminal: tables, bars, faults ready to be clicked in an editor."""

from rich.bar import Bar
from rich.columns import Columns
from rich.console import Console
from rich.table import Column, Table

from tessera.cli.terminal.tables import counts_table, say
from tessera.curation.report.pages import pair_line
from tessera.curation.statistics import Histogram
from tessera.curation.survey import SourceSurvey, Survey
from tessera.runtime.shown import counted

BAR = 16
"""Characters of the longest bar."""


def show_survey(console: Console, found: Survey, packs_per_step: int, shown: int) -> None:
    """Counts, sources one after the other, packs of an epoch, duplicates, and faults last."""
    console.print(_counts(found))
    for source in found.sources:
        _show_source(console, source, found)
    _show_packs(console, found, packs_per_step)
    remark = "drawn without end, right by construction; not counted"
    say(console, *(f"{name}: {remark}" for name in found.endless))
    repeats = {"exact": found.exact_pairs, "near": found.near_pairs, "same id": found.id_pairs}
    for title, pairs in repeats.items():
        lines = [f"{a[0]}:{a[1]}: {title}: repeats {b[0]}:{b[1]}" for a, b in pairs[:shown]]
        say(console, *lines, style="yellow")
    for source in found.sources:
        _show_faults(console, source, shown)


def _counts(found: Survey) -> Table:
    """One row a source; `exact` and `near` count duplicates."""
    rows = {
        s.name: (s.size, s.log.records, s.exact, s.near, s.lengths.tokens.total, s.lengths.tiles.total)
        for s in found.sources
    }
    return counts_table("source", ("records", "faulty", "exact", "near", "tokens", "tiles"), rows)


def _show_source(console: Console, source: SourceSurvey, found: Survey) -> None:
    lengths, config = source.lengths, found.config
    say(console, f"\n{source.name}", style="bold")
    console.print(Columns([bars("tokens", lengths.tokens), bars("tiles", lengths.tiles)], padding=(0, 2)))
    if lengths.pairs:
        answers = [bars("chosen", lengths.chosen), bars("rejected", lengths.rejected)]
        console.print(Columns(answers, padding=(0, 2)))
        say(console, f"  {pair_line(lengths)}")
    share = lengths.trained / max(1, lengths.tokens.total)
    ids = f"; {counted(source.repeated_ids, 'id')} stand twice or more" if source.repeated_ids else ""
    say(console, f"  {counted(lengths.trained, 'token')} trained ({share:.1%}){ids}")
    if lengths.too_long:
        what = f"{lengths.dropped:,} dropped, {lengths.shrunk:,} with fewer tiles, {lengths.split:,} split"
        over = f"over {config.max_tokens} tokens or {config.max_tiles} tiles"
        long = counted(lengths.too_long, "record")
        say(console, f"  {over}: {long}; policy {config.over_long}: {what}")
    scale, evidence = source.boxes.guess()
    if source.boxes.boxes:
        say(console, f"  boxes: {scale} ({evidence})")
    if total := source.scripts.total():
        mix = ", ".join(f"{name} {count / total:.1%}" for name, count in source.scripts.most_common(6))
        say(console, f"  letters by script: {mix}")
    say(console, *(f"  note: {remark}" for remark in source.remarks), style="yellow")


def _show_faults(console: Console, source: SourceSurvey, shown: int) -> None:
    if not source.log.records:
        return
    reasons = ", ".join(f"{count:,} x {reason}" for reason, count in source.log.counts.most_common())
    say(console, f"\n{source.name}: {reasons}", *source.log.kept[:shown], style="red")
    rest = source.log.counts.total() - min(shown, len(source.log.kept))
    if rest > 0:
        say(console, f"  and {rest:,} more; --shown lists more, --fix writes them all")


def _show_packs(console: Console, found: Survey, packs_per_step: int) -> None:
    e = found.estimate
    say(
        console,
        f"\none epoch: {counted(e.samples, 'sample')} in about {counted(e.packs, 'pack')} "
        f"(at least {e.bound:,}), "
        f"{counted(e.steps(packs_per_step), 'step')} of {packs_per_step}; tokens {e.token_fill:.1%} full, "
        f"tiles {e.tile_fill:.1%}",
    )


def bars(title: str, histogram: Histogram) -> Table:
    """One histogram; empty bars at both ends are left out, and what is not empty shows."""
    rows = list(zip(histogram.labels, histogram.counts.tolist(), strict=True))
    filled = [number for number, (_, count) in enumerate(rows) if count] or [0]
    rows = rows[filled[0] : filled[-1] + 1]
    most = max(count for _, count in rows) or 1
    grid = Table.grid(Column(justify="right"), "", "", padding=(0, 1))
    grid.add_row(title)
    for label, count in rows:
        grid.add_row(label, Bar(most, 0, max(count, most / BAR / 8 if count else 0), width=BAR), f"{count:,}")
    return grid
