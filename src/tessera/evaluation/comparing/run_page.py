"""The page of one run: figures with intervals beside the published ones, what a score hides, and replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tessera.evaluation.comparing.answer_cards import answer_card, evenly
from tessera.evaluation.comparing.comparison import category_column, category_of
from tessera.evaluation.comparing.comparison_page import number
from tessera.evaluation.comparing.intervals import Estimate, Intervals
from tessera.evaluation.comparing.stored import RESULT, StoredAnswer, StoredRun, flat
from tessera.pages.blocks import BarCell, PageBlock, SampleCards, Table, TableCell, TableRow
from tessera.pages.page import HtmlPage
from tessera.runtime.shown import counted, shown
from tessera.scoring.verdict import OVERALL

MOST_CARDS = 60
"""Replies that are shown of each kind."""
UNPARSED, WRONG, PARTLY, RIGHT = "no answer found", "wrong", "partly right", "right"
KINDS = (UNPARSED, WRONG, PARTLY, RIGHT)


@dataclass(frozen=True)
class RunReport:
    """What the page of a run shows beside its answers.

    published: source → model → headline. robustness: group → its figures. metric: the headline in words.
    notes: lines above the figures, such as warnings.
    """

    title: str
    intervals: Intervals
    metric: str = ""
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    robustness: Mapping[str, Intervals] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, run: StoredRun) -> RunReport:
        """From `result.json`. ValueError where it has no figures."""
        told = run.result
        try:
            intervals = Intervals.from_json(told.estimates)
            robustness = {name: Intervals.from_json(found) for name, found in told.robustness.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = f"{shown(run.folder / RESULT)}: estimates"
            raise ValueError(
                f"{where}: {shown(told.estimates)} are no figures; score the run again"
            ) from error
        if not intervals:
            raise ValueError(f"{shown(run.folder / RESULT)}: estimates: no figures; score the run again")
        title = told.title or told.benchmark
        return cls(title, intervals, told.metric, told.published, robustness, told.notes)


def run_page(run: StoredRun, report: RunReport) -> HtmlPage:
    """Headline, published scores, figures, what a score hides, cards with filters, settings."""
    column = category_column(run.graded)
    kinds = {kind: [one for one in run.scored if kind_of(one) == kind] for kind in KINDS}
    cards = [
        answer_card(one, (kind, category_of(one.graded, column)))
        for kind, answers in kinds.items()
        for one in evenly(answers, MOST_CARDS)
    ]
    told = [f"{min(len(them), MOST_CARDS)} of {len(them):,} {kind}" for kind, them in kinds.items() if them]
    sections: Sequence[tuple[str, Sequence[PageBlock]]] = (
        ("Score", [*report.notes, *_score(report)]),
        ("Beside published scores", _published(report)),
        ("Figures", [_figures(report.intervals)]),
        ("What the score hides", _robustness(report.robustness)),
        ("Replies", [f"Shown, evenly chosen: {', '.join(told)}.", SampleCards(cards, narrow=True)]),
        ("Settings", [_settings(run)]),
    )
    filters = {
        "verdict": [kind for kind in KINDS if kinds[kind]],
        "category": sorted({category_of(one.graded, column) for one in run.scored} - {""}),
    }
    return HtmlPage(report.title, run.result.name, sections, filters)


def kind_of(answer: StoredAnswer) -> str:
    """How an answer is sorted on the page."""
    if answer.score >= 1:
        return RIGHT
    return PARTLY if answer.score > 0 else UNPARSED if answer.extracted is None else WRONG


def _headline(intervals: Intervals) -> Estimate:
    return intervals.estimates.get(OVERALL) or next(iter(intervals.estimates.values()))


def _score(report: RunReport) -> list[PageBlock]:
    found, intervals = _headline(report.intervals), report.intervals
    units = "" if intervals.units == intervals.questions else f" in {intervals.units:,} units"
    return [
        f"{report.metric or OVERALL}: {number(found.value)} (95 %: {_bounds(found)}; {found.how}) "
        f"on {counted(intervals.questions, 'question')}{units}."
    ]


def _bounds(found: Estimate) -> str:
    return f"{number(found.low)} to {number(found.high)}"


def _published(report: RunReport) -> list[PageBlock]:
    """All published scores, each with how far this run is from it and whether it is within the interval."""
    own = _headline(report.intervals)
    rows: list[TableRow] = [
        (
            model,
            source,
            number(score),
            number(own.value - score, sign=True),
            "within" if own.low <= score <= own.high else "outside",
        )
        for source, scores in report.published.items()
        for model, score in scores.items()
    ]
    return [Table(("model", "source", "published", "this run less it", "95 % interval"), rows)]


def _figures(intervals: Intervals) -> Table:
    percent = all(
        0 <= found.value <= 100 for found in intervals.estimates.values() if found.value == found.value
    )
    rows: list[TableRow] = [
        (name, _cell(found, percent), _bounds(found), number(found.error), found.how)
        for name, found in intervals.estimates.items()
    ]
    return Table(("figure", "score", "95 %", "standard error", "by"), rows, strong=(OVERALL,))


def _cell(found: Estimate, percent: bool) -> TableCell:
    if not percent or found.value != found.value:
        return number(found.value)
    known = found.low == found.low and 0 <= found.low <= found.high <= 100
    bounds = (found.low / 100, found.high / 100) if known else None
    return BarCell(found.value / 100, number(found.value), interval=bounds)


def _robustness(groups: Mapping[str, Intervals]) -> list[PageBlock]:
    return [
        Table(
            ("%", "share", "95 %"),
            [(n, number(found.value), _bounds(found)) for n, found in intervals.estimates.items()],
            title,
        )
        for title, intervals in groups.items()
    ]


def _settings(run: StoredRun) -> Table:
    told = {"benchmark": run.result.benchmark, "preset": run.result.preset, "model": run.result.model}
    rows = [(name, shown(value, bare=True)) for name, value in (told | flat(run.result.settings)).items()]
    return Table(("setting", "value"), rows, words=True)
