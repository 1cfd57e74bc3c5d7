"""What a check found, in the terminal: tables, bars, faults ready to be clicked in an editor."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tessera.curation.statistics import Histogram
from tessera.curation.survey import SourceSurvey, Survey

BAR = 32
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def show_survey(console: Console, found: Survey, packs_per_step: int, shown: int) -> None:
    """Counts, sources one after the other, packs of an epoch, duplicates, and faults last."""
    console.print(_counts(found))
    for source in found.sources:
        _show_source(console, source, found)
    _show_packs(console, found, packs_per_step)
    for name in found.endless:
        console.print(f"{name}: drawn without end, right by construction; not counted", highlight=False)
    for title, pairs in (
        ("exact", found.exact_pairs),
        ("near", found.near_pairs),
        ("same id", found.id_pairs),
    ):
        for record, first in pairs[:shown]:
            line = f"{record[0]}:{record[1]}: {title}: repeats {first[0]}:{first[1]}"
            console.print(line, style="yellow", soft_wrap=True, markup=False, highlight=False)
    for source in found.sources:
        _show_faults(console, source, shown)


def _counts(found: Survey) -> Table:
    """One row a source; `exact` and `near` count duplicates."""
    table = Table("source", "records", "faulty", "exact", "near", "tokens", "tiles")
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for source in found.sources:
        tokens, tiles = source.lengths.tokens.total, source.lengths.tiles.total
        counts = (source.size, source.log.records, source.exact, source.near, tokens, tiles)
        table.add_row(source.name, *(f"{count:,}" for count in counts))
    return table


def _show_source(console: Console, source: SourceSurvey, found: Survey) -> None:
    lengths, config = source.lengths, found.config
    console.print(f"\n{source.name}", style="bold", markup=False, highlight=False)
    console.print(side_by_side(lengths.tokens, lengths.tiles), highlight=False, markup=False, soft_wrap=True)
    share = lengths.trained / max(1, lengths.tokens.total)
    ids = f"; {source.repeated_ids:,} ids repeat" if source.repeated_ids else ""
    console.print(f"  {lengths.trained:,} tokens are trained ({share:.1%}){ids}", highlight=False)
    if lengths.too_long:
        what = f"{lengths.dropped:,} dropped, {lengths.shrunk:,} with fewer tiles, {lengths.split:,} split"
        text = f"  over {config.max_tokens} tokens or {config.max_tiles} tiles: {lengths.too_long:,} records"
        console.print(f"{text}; policy {config.over_long}: {what}", highlight=False, soft_wrap=True)
    scale, evidence = source.boxes.guess()
    if source.boxes.boxes:
        console.print(f"  boxes: {scale} ({evidence})", highlight=False, markup=False, soft_wrap=True)
    total = source.scripts.total()
    if total:
        mix = ", ".join(f"{name} {count / total:.1%}" for name, count in source.scripts.most_common(6))
        console.print(f"  letters by script: {mix}", highlight=False, soft_wrap=True)


def _show_faults(console: Console, source: SourceSurvey, shown: int) -> None:
    if not source.log.records:
        return
    reasons = ", ".join(f"{count:,} x {reason}" for reason, count in source.log.counts.most_common())
    console.print(f"\n{source.name}: {reasons}", style="red", soft_wrap=True, highlight=False, markup=False)
    for fault in source.log.kept[:shown]:
        console.print(str(fault), style="red", soft_wrap=True, markup=False, highlight=False)
    rest = source.log.counts.total() - min(shown, len(source.log.kept))
    if rest > 0:
        console.print(f"  and {rest:,} more; --shown lists more, --fix writes them all", highlight=False)


def _show_packs(console: Console, found: Survey, packs_per_step: int) -> None:
    e = found.estimate
    console.print(
        f"\none epoch: {e.samples:,} samples in about {e.packs:,} packs (at least {e.bound:,}), "
        f"{e.steps(packs_per_step):,} steps of {packs_per_step}; tokens {e.token_fill:.1%} full, "
        f"tiles {e.tile_fill:.1%}",
        highlight=False,
        soft_wrap=True,
    )


def side_by_side(left: Histogram, right: Histogram) -> str:
    """Two histograms as bars, tokens left and tiles right."""
    columns = [bars("tokens", left), bars("tiles", right)]
    width = max(map(len, columns[0]))
    height = max(map(len, columns))
    padded = [column + [""] * (height - len(column)) for column in columns]
    return "\n".join(f"  {a:<{width}}   {b}".rstrip() for a, b in zip(*padded, strict=True))


def bars(title: str, histogram: Histogram) -> list[str]:
    """Lines of one histogram; empty bars at both ends are left out."""
    rows = [(label, count) for label, count in zip(histogram.labels, histogram.counts.tolist(), strict=True)]
    filled = [number for number, (_, count) in enumerate(rows) if count] or [0]
    rows = rows[filled[0] : filled[-1] + 1]
    most = max(count for _, count in rows) or 1
    label_width = max(len(title), *(len(label) for label, _ in rows))
    return [f"{title:>{label_width}}"] + [
        f"{label:>{label_width}} {bar(count / most):<{BAR // 2}} {count:,}" for label, count in rows
    ]


def bar(share: float, width: int = BAR // 2) -> str:
    """A bar of blocks, fine to an eighth; what is not empty shows."""
    eighths = max(int(share > 0), round(share * width * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
