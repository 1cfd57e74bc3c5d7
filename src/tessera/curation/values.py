"""A survey as plain values: what `--json` prints, and what tables and pages are made of."""

from typing import Any

from tessera.curation.estimate import PackEstimate
from tessera.curation.lengths import LengthSummary
from tessera.curation.statistics import Histogram
from tessera.curation.survey import SourceSurvey, Survey
from tessera.records.faults import RecordFault
from tessera.records.source import Place


def survey_values(survey: Survey, packs_per_step: int, shown: int) -> dict[str, Any]:
    """Counts of everything, at most `shown` faults of each source, the first pairs of duplicates."""
    return {
        "records": survey.records,
        "faulty": survey.faulty,
        "limits": survey.config.model_dump(include={"max_tokens", "max_tiles", "over_long"}),
        "epoch": estimate_values(survey.estimate, packs_per_step),
        "sources": {source.name: _source_values(source, packs_per_step, shown) for source in survey.sources},
        "endless": survey.endless,
        "exact_duplicates": _pairs(survey.exact_pairs),
        "near_duplicates": _pairs(survey.near_pairs),
        "repeated_ids": _pairs(survey.id_pairs),
    }


def estimate_values(estimate: PackEstimate, packs_per_step: int) -> dict[str, Any]:
    """An estimate of packs with what follows from it."""
    return {
        "samples": estimate.samples,
        "tokens": estimate.tokens,
        "tiles": estimate.tiles,
        "packs": estimate.packs,
        "bound": estimate.bound,
        "steps": estimate.steps(packs_per_step),
        "token_fill": round(estimate.token_fill, 4),
        "tile_fill": round(estimate.tile_fill, 4),
        "empty_tokens": estimate.padding,
    }


def _source_values(source: SourceSurvey, packs_per_step: int, shown: int) -> dict[str, Any]:
    lengths, (scale, evidence) = source.lengths, source.boxes.guess()
    return {
        "records": source.size,
        "faulty": source.log.records,
        "tokens": lengths.tokens.total,
        "tiles": lengths.tiles.total,
        "trained": lengths.trained,
        "counts": {str(reason): count for reason, count in source.log.counts.most_common()},
        "notes": source.remarks,
        "faults": [_fault(fault) for fault in source.log.kept[:shown]],
        "duplicates": {"exact": source.exact, "near": source.near, "repeated_ids": source.repeated_ids},
        "over_long": {
            "records": lengths.too_long,
            "dropped": lengths.dropped,
            "fewer_tiles": lengths.shrunk,
            "split": lengths.split,
        },
        "histograms": {"tokens": _bars(lengths.tokens), "tiles": _bars(lengths.tiles)},
        **({"pairs": _pair_values(lengths)} if lengths.pairs else {}),
        "boxes": {"count": source.boxes.boxes, "scale": scale, "evidence": evidence},
        "letters": dict(source.scripts.most_common()),
        "epoch": estimate_values(source.estimate, packs_per_step),
    }


def _pair_values(lengths: LengthSummary) -> dict[str, Any]:
    """How many pairs there are, and the tokens of both answers."""
    sides = {"chosen": lengths.chosen, "rejected": lengths.rejected}
    bars = {name: {"tokens": side.total, "histogram": _bars(side)} for name, side in sides.items()}
    return {"count": lengths.pairs, **bars}


def _fault(fault: RecordFault) -> dict[str, Any]:
    told = {"file": str(fault.file), "line": fault.line, "field": fault.field, "reason": str(fault.reason)}
    return {**told, "detail": fault.detail, "remedy": fault.remedy}


def _bars(histogram: Histogram) -> dict[str, int]:
    return dict(zip(histogram.labels, histogram.counts.tolist(), strict=True))


def _pairs(pairs: list[tuple[Place, Place]]) -> list[dict[str, str]]:
    return [{"at": _written(record), "repeats": _written(first)} for record, first in pairs]


def _written(place: Place) -> str:
    return f"{place[0]}:{place[1]}"
