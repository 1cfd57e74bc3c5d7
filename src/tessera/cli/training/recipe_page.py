"""The page of a recipe: where its values come from, rules, packs, schedule, start, what is yours to fill."""

from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from tessera.cli.terminal.tables import Terminal, figures_table
from tessera.recipes.expected import expected
from tessera.recipes.offer import Offer
from tessera.train.recipe import Stage, gaps


def describe(offer: Offer) -> dict[str, Any]:
    """Card and recipe as plain values."""
    recipe, memory = offer.load(), expected(offer)
    values: dict[str, Any] = {"recipe": recipe.model_dump(mode="json"), "to_fill": gaps(recipe)}
    return offer.card() | values | {"memory": None if memory is None else asdict(memory)}


def show_page(offer: Offer, console: Terminal) -> None:
    """Everything that the recipe says, and what was said about it."""
    recipe, card = offer.load(), offer.card()
    console.print(f"[bold]{escape(card.pop('purpose'))}[/]", highlight=False)
    _show_facts(card, console)
    for stage in recipe.stages:
        console.print(_rules(stage))
        _show_facts(_settings(stage), console)
    if (memory := expected(offer)) is not None:
        _show_facts({f"memory, {name}": line for name, line in memory.lines().items()}, console)
    start = recipe.start.model_dump(exclude_defaults=True)
    _show_facts({"start": ", ".join(f"{key} {value}" for key, value in start.items())}, console)
    if missing := gaps(recipe):
        console.print("yours to fill, in a copy or as options:")
        _show_facts({f"--{field}": what for field, what in missing.items()}, console)


def _show_facts(facts: dict[str, str], console: Terminal) -> None:
    grid = Table.grid(padding=(0, 2), pad_edge=True)
    grid.add_column(style="dim", min_width=8)
    for name, value in facts.items():
        grid.add_row(name, escape(value))
    console.print(grid, "", highlight=False)


def _rules(stage: Stage) -> Table:
    table = figures_table("pattern", "rate", "decay", title=f"stage {stage.name}", title_justify="left")
    for rule in stage.rules:
        if rule.learning_rate is None:
            table.add_row(escape(rule.pattern), "frozen", "")
        else:
            rate = f"{rule.learning_rate:g}{' (LoRA)' if rule.lora else ''}"
            table.add_row(escape(rule.pattern), rate, f"{rule.weight_decay:g}")
    return table


def _settings(stage: Stage) -> dict[str, str]:
    packing, schedule = stage.packing, stage.schedule
    passes = f"as many as {stage.epochs:g} passes over the data take, at most " if stage.epochs else ""
    adapters = [rule.lora for rule in stage.rules if rule.lora]
    lora = [f"rank {a.rank}, scale {a.scale:g}, dropout {a.dropout:g}" for a in adapters]
    warmup = f"{schedule.warmup} steps" if isinstance(schedule.warmup, int) else f"{schedule.warmup:.0%}"
    return {
        "objective": stage.objective.kind,
        "LoRA": "; ".join(lora) or "none",
        "steps": f"{passes}{stage.steps:,}",
        "packs": f"{stage.accumulate} a step of {packing.max_tokens:,} tokens, {packing.max_tiles} tiles",
        "weights": f"{packing.averaging} averaging",
        "positions": "as usual" if packing.v2pe is None else f"V2PE, {packing.v2pe}",
        "schedule": f"{schedule.kind}, warm-up {warmup}, floor {schedule.floor:g}",
        "optimizer": f"{stage.optimizer.kind}, betas {stage.optimizer.betas}, clip {stage.optimizer.clip:g}",
        "drop path": "the model's own" if stage.drop_path is None else f"{stage.drop_path:g}",
        "recompute": stage.recompute,
    }
