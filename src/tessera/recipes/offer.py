"""A recipe that ships, in either of two forms: a file of its own, or published values of the series.

Both tell what a table shows without torch; a recipe is made when one is loaded.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Protocol

from tessera.recipes.internvl.stage import PARTS, PublishedStage

if TYPE_CHECKING:
    from tessera.train.recipe import Recipe

ALL = "all parts"
LABELS = {
    "vision": "ViT",
    "connector": "connector",
    "decoder": "decoder",
    "experts": "visual experts",
    "attention": "attention",
}


@dataclass(frozen=True)
class Line:
    """What a table says of a recipe; an empty text where there is nothing to say."""

    name: str
    generation: str
    size: str
    stages: Mapping[str, int | None]
    """Stage to its steps; None for one pass over the data."""
    trained: str
    purpose: str
    rate: str = ""
    batch: str = ""
    tokens: str = ""
    hardware: str = ""
    state_bytes: int = 0
    """Weights, gradients and optimizer, over all devices; 0 is not known."""


class Offer(Protocol):
    """A recipe that ships."""

    def load(self) -> Recipe:
        """The recipe itself."""

    def line(self) -> Line:
        """What a table says."""

    def card(self) -> dict[str, str]:
        """What is known of it in words, by field; `purpose` first."""

    def copy(self) -> tuple[str, str]:
        """Name and text of a file to edit that gives the same recipe."""


@dataclass(frozen=True)
class FileRecipe:
    """A Python file with a function recipe(); its first docstring is its card."""

    name: str
    file: Path

    def load(self) -> Recipe:
        """Run the file and call the function. ValueError when it is no Python, imports what isn't there, or
        gives no recipe; what its own code raises comes through."""
        from tessera.train.recipe import Recipe

        try:
            make = run_path(str(self.file), run_name=f"tessera_recipe_{self.file.stem}").get("recipe")
        except SyntaxError as error:
            raise ValueError(f"recipe file {error.filename}, line {error.lineno}: {error.msg}") from error
        except ImportError as error:
            raise ValueError(
                f"recipe file {self.file}: {error}; install it, or correct the import"
            ) from error
        result = make() if callable(make) else None
        if not isinstance(result, Recipe):
            raise ValueError(
                f"recipe file {self.file} needs a function recipe() that returns tessera.train.recipe.Recipe"
            )
        return result

    def line(self) -> Line:
        """From the card alone."""
        card = self.card()
        steps = re.findall(r"(\w+) \(([\d,]+) steps\)", card.get("stages", ""))
        stages = {stage: int(count.replace(",", "")) for stage, count in steps}
        trained, hardware = card.get("trained", ""), card.get("hardware", "").partition(",")[0]
        generation, size = card.get("generation", "scale"), card.get("size", "5M")
        rate, batch = card.get("rate", ""), card.get("batch", "")
        purpose = card["purpose"]
        return Line(self.name, generation, size, stages, trained, purpose, rate, batch, hardware=hardware)

    def card(self) -> dict[str, str]:
        """What the docstring says: its first line, and the fields, such as `time`."""
        text = ast.get_docstring(ast.parse(self.file.read_text(encoding="utf-8"))) or ""
        fields = re.findall(r"^(\w+):(.*(?:\n .*)*)", text, re.M)
        return {"purpose": text.partition("\n")[0]} | {k.lower(): " ".join(v.split()) for k, v in fields}

    def copy(self) -> tuple[str, str]:
        """The file itself."""
        return self.file.name, self.file.read_text(encoding="utf-8")


@dataclass(frozen=True)
class PublishedRecipe:
    """Published values of one stage, or of several that one run goes through."""

    name: str
    run: tuple[PublishedStage, ...]

    def load(self) -> Recipe:
        """What `build` makes of the values."""
        from tessera.recipes.internvl.build import build

        return build(*self.run)

    def line(self) -> Line:
        """Values of several stages stand behind each other."""
        first = self.run[0]
        return Line(
            self.name,
            first.entry.generation,
            first.size,
            {stage.name: stage.steps for stage in self.run},
            _joined(trained_parts(stage) for stage in self.run),
            purpose_of(self.run),
            _joined(f"{stage.rate:.0e}".replace("e-0", "e-") for stage in self.run),
            _joined(f"{stage.packs} x {stage.length / 1024:.0f}K" for stage in self.run),
            _joined(tokens_of(stage) for stage in self.run),
            _joined(stage.hardware for stage in self.run),
            max(stage.state_bytes() for stage in self.run),
        )

    def card(self) -> dict[str, str]:
        """Where the values come from, and what to know before they are used."""
        first = self.run[0]
        found = {
            "purpose": purpose_of(self.run),
            "command": f"tessera train {self.name} --out runs/mine",
            "model": first.model,
            "hardware": _joined(stage.hardware for stage in self.run) or "not published",
            "tokens": _joined(tokens_of(stage) for stage in self.run),
            "source": _joined(stage.source for stage in self.run),
            "follows": _joined(stage.after for stage in self.run[:1]),
            "ViT from": _joined(stage.vision_after for stage in self.run),
            "notes": _joined(note for stage in self.run for note in stage.notes),
            "unverified": _joined(name for stage in self.run for name in stage.unverified),
        }
        return {key: value for key, value in found.items() if value}

    def copy(self) -> tuple[str, str]:
        """A small file that takes the values from here and has those to change written out."""
        from tessera.recipes.copying import copied

        return f"{self.name.replace('/', '_')}.py", copied(self)


def trained_parts(stage: PublishedStage) -> str:
    """In words: `ViT, connector`, or the rank of LoRA."""
    if stage.lora_rank:
        return f"LoRA {stage.lora_rank}"
    named = LABELS if stage.drop_path is not None else LABELS | {"vision": "patch embedding"}
    return ALL if set(PARTS) <= set(stage.trained) else ", ".join(named[part] for part in stage.trained)


def tokens_of(stage: PublishedStage) -> str:
    """As printed; else what the packs of the published steps hold; else one pass over the data."""
    if stage.tokens or stage.teacher:
        return stage.tokens
    held = (stage.steps or 0) * stage.packs * stage.length / 1e9
    return "one pass" if not held else f"{held:.0f}B" if held >= 1 else f"{held * 1000:.0f}M"


def purpose_of(run: tuple[PublishedStage, ...]) -> str:
    """One line: model, stages, what they train."""
    what = "; ".join(f"{stage.name} trains {trained_parts(stage)}" for stage in run)
    return f"{run[0].entry.base}: {what}"


def _joined(texts: Iterable[str]) -> str:
    """Different texts in order, `/` between them."""
    return " / ".join(dict.fromkeys(text for text in texts if text))
