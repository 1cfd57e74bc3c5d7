"""`tessera classify PICTURES --labels …`: what pictures show, of classes that are only named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from tessera.cli.retrieval.pair_model import EmbeddingCommand
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.engine.embedding.classes import Guess, class_weights, classify
from tessera.engine.embedding.prompts import PLACE, Language, checked_prompts, published_prompts, read_prompts
from tessera.evaluation.embedding.folders import picture_files, read_class_folders
from tessera.evaluation.embedding.labels import read_labels
from tessera.evaluation.embedding.measures import zero_shot
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown
from tessera.scoring.ranking.classes import ClassFigures


@dataclass(frozen=True, kw_only=True)
class ClassifyCommand(EmbeddingCommand):
    """Say which of some classes pictures show. A model of pictures and texts needs no training for that."""

    pictures: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PICTURES")]
    """Files, or folders with pictures anywhere below."""
    labels: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Names of the classes, or a file: one a line, behind its folder's name and a tab if that differs."""
    language: Language = "en"
    """Language of the published prompts around a class: en, zh, ja, ar, it. Name the classes in it, too."""
    prompt: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT")] = ()
    """A prompt of your own in which {c} is the class, or a file of them; again for more."""
    top: int = 5
    """Classes that are shown of each picture."""
    measure: bool = False
    """PICTURES is one folder with a folder for each class: tell accuracy. Without --labels these are named
    as their folders."""

    def run(self) -> int:
        self.at_least(top=1)
        prompts = self.prompts()
        if self.measure:
            return self.measured(prompts)
        if not self.labels:
            raise ValueError("--labels: name the classes, or give a file of names")
        names = read_labels(self.labels).names
        files = picture_files(self.pictures)
        model = self.opened()
        with progress_bars() as bars:
            weights = class_weights(model, names, prompts, bars)
            guesses = []
            for guess in classify(model, files, weights, self.top, self.mode):
                guesses.append(guess)
                bars("pictures", len(guesses), len(files))
        values = [as_values(file, guess, names) for file, guess in zip(files, guesses, strict=True)]
        self.tell(lambda: {"model": model.name, "pictures": values}, lambda: show_guesses(values))
        return 0

    def measured(self, prompts: tuple[str, ...]) -> int:
        """Accuracy over class folders."""
        if len(self.pictures) != 1:
            raise ValueError(
                f"--measure: {len(self.pictures)} places given; give one folder of class folders"
            )
        data = read_class_folders(Path(self.pictures[0]), read_labels(self.labels) if self.labels else None)
        model = self.opened()
        with progress_bars() as bars:
            figures = zero_shot(model, data, prompts, self.mode, bars)
        self.tell(lambda: figure_values(figures, data.names), lambda: show_figures(figures, data.names))
        return 0

    def prompts(self) -> tuple[str, ...]:
        """Those of the language, or the user's."""
        if not self.prompt:
            return published_prompts(self.language)
        if self.language != "en":
            raise ValueError("--language, --prompt: give one of them; your own prompts have their language")
        given = [(one,) if PLACE in one else read_prompts(Path(one)) for one in self.prompt]
        return checked_prompts([prompt for prompts in given for prompt in prompts])


def as_values(file: Path, guess: Guess, names: tuple[str, ...]) -> dict[str, Any]:
    """A picture's classes as JSON has them."""
    pairs = zip(guess.classes, guess.shares, strict=True)
    return {"picture": str(file), "classes": [{"name": names[n], "share": share} for n, share in pairs]}


def show_guesses(values: Iterable[dict[str, Any]]) -> None:
    """A row for each picture."""
    table = Table("picture", "classes")
    for value in values:
        told = (f"{one['name']} {100 * one['share']:.1f} %" for one in value["classes"])
        table.add_row(shown(Path(value["picture"])), ", ".join(told))
    Terminal().print(table)


def figure_values(figures: ClassFigures, names: Sequence[str]) -> dict[str, Any]:
    """Figures in percent, and those of each class that occurs."""
    each = [
        {"name": names[number], "pictures": count, "recall": 100 * right / count}
        | ({"taken_for": names[figures.confused[number][0]]} if number in figures.confused else {})
        for number, (count, right) in figures.per_class.items()
    ]
    return {
        "pictures": figures.pictures,
        "classes": len(names),
        "acc1": figures.acc1,
        "acc5": figures.acc5,
        "mean_per_class_recall": figures.mean_per_class_recall,
        "per_class": each,
    }


def show_figures(figures: ClassFigures, names: Sequence[str]) -> None:
    """The table of classes, worst first, and the three figures."""
    table = figures_table("class", "pictures", "recall", "most often taken for")
    for one in sorted(figure_values(figures, names)["per_class"], key=lambda one: float(one["recall"])):
        table.add_row(one["name"], f"{one['pictures']:,}", f"{one['recall']:.1f} %", one.get("taken_for", ""))
    console = Terminal()
    console.print(table)
    five = "" if figures.acc5 is None else f", acc5 {figures.acc5:.1f} %"
    what = f"{counted(figures.pictures, 'picture')} of {len(names)} classes"
    mean = f"mean per class recall {figures.mean_per_class_recall:.1f} %"
    say(console, f"{what}: acc1 {figures.acc1:.1f} %{five}, {mean}")
