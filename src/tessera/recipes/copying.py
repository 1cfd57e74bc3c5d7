"""The file that a copy of published values is: few lines, with the fields that people change written out."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from tessera.recipes.internvl.stage import Data, PublishedStage

if TYPE_CHECKING:
    from tessera.recipes.offer import PublishedRecipe

CHANGED = ("steps", "rate", "decay", "drop_path", "warmup", "batch", "length", "picture_tiles")
STARTS = ("checkpoint", "vision", "decoder")
"""Of the first stage alone: the others go on from the one before."""
HEAD = '''"""{purpose}.

Command:    tessera train THIS_FILE --out runs/mine
{facts}

Every field of tessera.recipes.internvl.stage.PublishedStage may stand below; the others are as published.
Give your data as `meta`: a manifest (tessera data check tells whether it is sound).
"""

from dataclasses import replace

from tessera.recipes.internvl.build import build
from tessera.recipes.internvl.stage import Data
from tessera.recipes.internvl.table import published_runs
from tessera.train.recipe import Recipe


def recipe() -> Recipe:
    """The published values, and yours."""
    {names} = published_runs()["{name}"]
'''


def copied(offer: PublishedRecipe) -> str:
    """Python that gives the same recipe as `offer`."""
    names = [stage.name for stage in offer.run]
    facts = {key: value for key, value in offer.card().items() if key not in ("purpose", "command")}
    text = HEAD.format(
        purpose=offer.card()["purpose"],
        facts="\n".join(_fact(key, value) for key, value in facts.items()),
        names=", ".join(names) if len(names) > 1 else f"({names[0]},)",
        name=offer.name,
    )
    changes = (_changed(stage, STARTS if stage is offer.run[0] else ()) for stage in offer.run)
    return f"{text}{''.join(changes)}    return build({', '.join(names)})\n"


def _fact(key: str, value: str) -> str:
    head = f"{key.capitalize()}:"
    return fill(f"{head:<12}{value}", 108, subsequent_indent=" " * 12)


def _changed(stage: PublishedStage, starts: tuple[str, ...]) -> str:
    """`stage = replace(stage, field=value, …)`, a field a line."""
    missing = ("checkpoint",) if stage.after and starts else ()
    fields = [*CHANGED, *(n for n in (*starts, "lora_rank") if getattr(stage, n) or n in missing)]
    lines = "".join(f"        {name}={getattr(stage, name)!r},\n" for name in fields)
    data = "".join(f"            {_data(entry)},\n" for entry in stage.data)
    body = f"        {stage.name},\n{lines}        data=(\n{data}        ),\n"
    return f"    {stage.name} = replace(\n{body}    )\n"


def _data(data: Data) -> str:
    share = "" if data.share is None else f"share={data.share}, "
    return f"Data(\n                {data.what!r},\n                {share}meta={data.meta!r},\n            )"
