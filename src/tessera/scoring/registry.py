"""Scorers and aggregates by the names that declarations give them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tessera.scoring.captions import named as captions
from tessera.scoring.choices import named as choices
from tessera.scoring.grounding import named as grounding
from tessera.scoring.judged import named as judged
from tessera.scoring.maths import named as maths
from tessera.scoring.texts import named as texts
from tessera.scoring.verdict import Aggregate, Scorer
from tessera.scoring.yes_no import named as yes_no

Made = TypeVar("Made")
ROOMS = (captions, choices, grounding, judged, maths, texts, yes_no)
SCORERS: Mapping[str, Callable[..., Scorer]] = {k: v for room in ROOMS for k, v in room.SCORERS.items()}
AGGREGATES: Mapping[str, Callable[..., Aggregate]] = {
    k: v for room in ROOMS for k, v in room.AGGREGATES.items()
}


def scorer(name: str, settings: Mapping[str, Any]) -> Scorer:
    """A scorer with its settings. ValueError for an unknown name or setting, naming what there is."""
    return _made("scorer", SCORERS, name, settings)


def aggregate(name: str, settings: Mapping[str, Any]) -> Aggregate:
    """An aggregate with its settings. ValueError likewise."""
    return _made("aggregate", AGGREGATES, name, settings)


def _made(
    what: str, known: Mapping[str, Callable[..., Made]], name: str, settings: Mapping[str, Any]
) -> Made:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(sorted(known))}"
        raise ValueError(f"{what} {name!r} is unknown{hint}")
    factory = known[name]
    allowed = inspect.signature(factory).parameters
    if unknown := sorted(set(settings) - set(allowed)):
        has = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise ValueError(f"{what} {name}: {unknown[0]!r} is no setting of it; {has}")
    try:
        return factory(**settings)
    except TypeError as error:  # a setting that is missing
        raise ValueError(f"{what} {name}: {error}") from error
