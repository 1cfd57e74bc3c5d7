"""Counts for GET /metrics, in Prometheus' text format.

By hand and not by prometheus_client: five kinds of lines, counts that belong to one server and to no global
registry, and one dependency less. Delete this for the library once labels or exemplars are wanted.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import accumulate

from tessera.engine.core.loop import EngineStats

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: upper ends of a histogram's classes."""
ROUTES = frozenset(
    {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models", "/v1/embeddings"}
    | {"/tokenize", "/health", "/metrics", "/"}
)
HELD = ("running", "waiting", "blocks_used", "blocks_free", "picture_bytes")
"""What the engine holds now; its other figures only grow."""


class Seconds:
    """A histogram of times."""

    def __init__(self) -> None:
        self._counts, self._sum = [0] * (len(BOUNDS) + 1), 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds

    def since(self, begun: float) -> None:
        """One more: the time from an instant of `time.monotonic` until now."""
        self.add(time.monotonic() - begun)

    def lines(self, name: str) -> Iterator[str]:
        """The histogram; counts are of all up to a bound."""
        yield f"# TYPE {name} histogram"
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), accumulate(self._counts), strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {sum(self._counts)}"


class Meters:
    """What one server has done."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._seconds, self.first_token = Seconds(), Seconds()

    def answered(self, path: str, status: int, seconds: float) -> None:
        """An answer; paths that are none of the server's count together."""
        self._answers[path if path in ROUTES else "other", status] += 1
        self._seconds.add(seconds)

    def text(self, engine: EngineStats | None, inside: Mapping[str, int]) -> str:
        """All figures. inside: name → how many or how much is inside now. engine: None where none writes."""
        lines = ["# TYPE tessera_http_answers_total counter"]
        for (path, status), count in sorted(self._answers.items()):
            lines.append(f'tessera_http_answers_total{{path="{path}",status="{status}"}} {count}')
        lines += self._seconds.lines("tessera_http_seconds")
        lines += self.first_token.lines("tessera_first_token_seconds")
        figures = {f"tessera_{name}": value for name, value in inside.items()}
        if engine is not None:
            figures |= {f"tessera_engine_{name}": getattr(engine, name) for name in HELD}
        for name, value in figures.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value}"]
        for name in (field.name for field in (fields(engine) if engine else ()) if field.name not in HELD):
            lines += [f"# TYPE tessera_engine_{name}_total counter"]
            lines += [f"tessera_engine_{name}_total {getattr(engine, name)}"]
        return "\n".join(lines) + "\n"
