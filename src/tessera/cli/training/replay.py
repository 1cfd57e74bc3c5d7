"""`tessera train RECIPE --replay FOLDER`: what a step that was no number says when it is computed again."""

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from tessera.cli.terminal.tables import figures_table, say
from tessera.train.loop import Trainer
from tessera.train.replay import Diagnosis, replay
from tessera.train.state.replays import read_step


def replay_step(trainer: Trainer, folder: Path, console: Console) -> Diagnosis:
    """Compute the step in a folder again and tell what is found. ValueError when it can't be read."""
    kept = read_step(folder, [stage.objective.batch for stage in trainer.recipe.stages])
    found = replay(trainer, kept)
    show(found, console)
    say(console, f"stage {kept.stage}, step {kept.step} gave loss {kept.loss}, norm {kept.gradient_norm}")
    return found


def show(found: Diagnosis, console: Console) -> None:
    """Samples with their losses, the highest first, and the first places that are no number."""
    table = figures_table("sample", "loss")
    for key, loss in sorted(found.losses.items(), key=lambda pair: (math.isfinite(pair[1]), -pair[1])):
        table.add_row(escape(key), f"{loss:.4f}")
    console.print(table)
    places = {
        "first weight that is not finite": found.weight,
        "first output that is not finite": found.output,
        "first gradient that is not finite, backwards, at the output of": found.gradient,
        "first weight with a gradient that is not finite": found.trained,
    }
    for what, where in places.items():
        say(console, f"{what}: {where or 'none'}")
    say(console, "weights of stage {}, step {}".format(*found.weights))
    say(console, f"now: loss {found.loss}, norm {found.gradient_norm}")
