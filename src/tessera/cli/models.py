"""`tessera models`: the catalogue as a table, and one page for a name.

Neither torch nor a config is loaded: the table is there at once.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich import box
from rich.table import Column, Table

from tessera.cli.command import WordsCommand
from tessera.cli.model_page import show_page
from tessera.cli.terminal.tables import Terminal
from tessera.families.catalogue import get_released, released
from tessera.families.entry import Component, Entry, Released
from tessera.models.accounting import kv_cache_bytes_per_token
from tessera.runtime.shown import counted

WIDTH = 100
"""Columns of the output where it is no terminal; the table fits them."""
LONGEST = 26
"""Characters of a name in the table; an ending goes below a longer one."""
CAPTION = (
    "size: parameters, A those that a token meets; tiles: squares of a picture besides a thumbnail;\n"
    "bf16, int8: GB of weights. Endings below a name are variants with the same parts.\n"
    "A page: tessera models NAME"
)


@dataclass(frozen=True, kw_only=True)
class ModelsCommand(WordsCommand):
    """List the released models, or show the page of one."""

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[WORDS]")] = ()
    """A name for its page; else words that must all occur (name, ViT, language model, template)."""
    generation: str | None = None
    """Only this generation: 1, 1.1, 1.2, 1.5, 2, 2.5, 3, 3.5."""
    max_params: float | None = None
    """Only models of up to so many billion parameters."""

    def run(self) -> int:
        console = Terminal()
        if not console.is_terminal:
            console = Terminal(width=WIDTH)
        if (single := _named(self.words)) is not None:
            self.tell(lambda: describe(single), lambda: show_page(single, console))
            return 0
        found = choose(released(), self.words, self.generation, self.max_params)
        caption = f"\n[dim]{counted(len(found), 'model')}.\n{CAPTION}[/]"
        self.tell(
            lambda: [describe(entry) for entry in found],
            lambda: console.print(models_table(found), caption, highlight=False),
        )
        return 0


def choose(
    among: Iterable[Released], words: Sequence[str], generation: str | None, max_params: float | None
) -> list[Released]:
    """Models that pass every filter. Raises ValueError saying which filters left nothing."""
    kept = [entry for entry in among if _holds(entry, words)]
    if not kept and len(words) == 1:
        get_released(words[0])  # raises with the nearest names, or why a published name is not opened
    if generation is not None:
        known = sorted({entry.generation for entry in released()}, key=float)
        wanted = generation.removesuffix(".0")
        if wanted not in known:
            raise ValueError(f"--generation: {generation!r} is unknown; choose one of {', '.join(known)}")
        kept = [entry for entry in kept if entry.generation == wanted]
    if max_params is not None:
        kept = [entry for entry in kept if entry.parameters()["total"] <= max_params * 1e9]
    if not kept:
        raise ValueError(f"no model has {' and '.join(words) or 'this size'}; leave out a word or a filter")
    return kept


def models_table(chosen: Sequence[Released]) -> Table:
    """A row per size; variants that differ in weights alone stand below its name."""
    right: Any = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("model", overflow="fold", min_width=LONGEST),
        "gen",
        "ViT",
        Column("language model", overflow="fold", min_width=LONGEST),
        Column("size", **right),
        Column("template", overflow="fold", max_width=14),
        "tiles",
        Column("bf16", **right),
        Column("int8", **right),
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
    )
    for group in _groups(chosen):
        first = group[0]
        sizes = [_gigabytes(first.bytes_to_load(kind)) for kind in ("bf16", "int8")]
        vision, language, template, squares = _words(first)
        size = f"{first.parameters()['total'] / 1e9:.1f}B" + _active(first)
        table.add_row(_names(group), first.generation, vision, language, size, template, squares, *sizes)
    return table


def _gigabytes(size: int) -> str:
    """Four characters."""
    return f"{size / 1e9:.1f}" if size < 99.95e9 else f"{size / 1e9:.0f}"


def _active(one: Released) -> str:
    """Below the size, what of it a token meets, where that is less."""
    if not isinstance(one, Entry) or one.active == one.parameters()["total"]:
        return ""
    return f"\nA{one.active / 1e9:.1f}B"


def _words(one: Released) -> tuple[str, str, str, str]:
    """ViT, language model, template and tiles, as far as a model has them."""
    if isinstance(one, Entry):
        return one.vision.label, one.language.name, one.template, one.squares
    assert isinstance(one, Component)
    return one.vision, one.language or "none", f"({one.kind})", "1"


def describe(one: Released) -> dict[str, Any]:
    """Everything of a model that a script may want, as JSON types."""
    return {
        "name": one.name,
        "hub": one.hub,
        "kind": one.kind,
        "generation": one.generation,
        "parameters": one.parameters(),
        "published_billions": one.published.parts(),
        "published_source": one.published.source,
        "bytes": {"bf16": one.bytes_to_load("bf16"), "int8": one.bytes_to_load("int8")},
        **(_chat_model(one) if isinstance(one, Entry) else {}),
        "licences": {"repository": one.card_licence or None, **dict(one.licences)},
        "notes": list(one.notes),
        "unverified": list(one.doubts),
    }


def _chat_model(entry: Entry) -> dict[str, Any]:
    return {
        "layouts": dict(entry.layouts),
        "vision": entry.vision.name,
        "language_model": entry.language.name,
        "active_parameters": entry.active,
        "template": entry.template,
        "tiles": entry.squares,
        "tokens_per_tile": entry.tokens_per_tile,
        "largest_picture_tokens": entry.picture_tokens,
        "cache_bytes_per_token": kv_cache_bytes_per_token(entry.model),
    }


def _named(words: Sequence[str]) -> Released | None:
    """The model that one word names in full."""
    if len(words) == 1:
        with suppress(ValueError):
            return get_released(words[0])
    return None


def _holds(one: Released, words: Sequence[str]) -> bool:
    parts = (one.name, one.kind, *_words(one), *((one.vision.name,) if isinstance(one, Entry) else ()))
    text = " ".join(parts).lower()
    return all(word.lower() in text or word.lower().replace(".", "_") in text for word in words)


def _groups(chosen: Sequence[Released]) -> list[list[Released]]:
    """Entries with the same base and the same parts, in order."""
    groups: dict[tuple[str, ...], list[Released]] = {}
    for one in chosen:
        parts = (one.base, *_words(one)[1:3], *map(str, one.parameters().values()))
        groups.setdefault(parts, []).append(one)
    return list(groups.values())


def _names(group: Sequence[Released]) -> str:
    """The name of a row: one entry in full, several as the base and their suffixes."""
    if len(group) == 1 and len(group[0].name) <= LONGEST:
        return group[0].name
    return f"{group[0].base}\n[dim]{' '.join(entry.suffix for entry in group if entry.suffix)}[/]"
