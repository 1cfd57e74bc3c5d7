"""`tessera evaluate --on BENCHMARK --explain INDEX`: everything about one answer of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tessera.cli.serving.serve import called
from tessera.evaluation.benchmarks.catalogue import find_benchmark
from tessera.evaluation.comparing.explain import Explanation, explain
from tessera.evaluation.comparing.stored import find_runs
from tessera.runtime.shown import shown

if TYPE_CHECKING:
    from tessera.cli.evaluation.command import EvaluateCommand


def explain_answer(command: EvaluateCommand) -> int:
    """Tell it from what the run left; nothing is asked again."""
    assert command.explain is not None
    name = command.name or called(command.model) or "shipped"
    folder = command.to or Path("runs/evaluation") / Path(name).name
    runs = find_runs(folder)
    wanted = find_benchmark(command.on[0]).name
    if len(command.on) != 1 or wanted not in runs:
        raise ValueError(
            f"--explain: {shown(folder)} has runs of {', '.join(runs)}; name one of them by --on"
        )
    found = explain(runs[wanted], command.explain)
    command.tell(found.as_json, lambda: _show(found))
    return 0


def _show(found: Explanation) -> None:
    for heading, text in found.lines():
        print(f"{heading}:")
        print("\n".join(f"    {line}" for line in text.splitlines()))
