"""`tessera tune MODEL DATA … --out runs/mine`: fine-tune a model with defaults chosen for it and its data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from tessera.checkpoints.adapter import is_adapter
from tessera.checkpoints.description import Description
from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import read_description
from tessera.cli.command import FieldsCommand, WordsCommand
from tessera.cli.terminal.mistakes import mistakes_as_errors
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.cli.training.plan import is_small, require_memory, too_large
from tessera.cli.training.train import MERGED, follow, hold, merged, prepare, require_run, say_stopped
from tessera.recipes.aligning import Method
from tessera.recipes.internvl.stage import Part
from tessera.recipes.shelf import load_recipe
from tessera.recipes.tuning import DataLengths, TunedChoice, Wish, choose
from tessera.recipes.tuning_data import measure, read_data, write_parts
from tessera.recipes.tuning_fit import fit
from tessera.recipes.written import written
from tessera.runtime.atomic import atomic_write
from tessera.runtime.progress import Bars, progress_bars
from tessera.runtime.shown import shown
from tessera.train.parallel.ranks import Ranks, join, totals
from tessera.train.plan.machine import USUAL, find_machine
from tessera.train.recipe import Recipe
from tessera.train.watch.telemetry import stage_figures

RECIPE, ASKED, DATA = "recipe.py", "tune.json", "data"
"""What a fine-tune leaves in its folder besides a run: the recipe, what was asked, the manifests."""
CARD = """Fine-tune of {model} on {data}, as `tessera tune` chose it.

Command:   tessera train {file} --out {out}
"""


@dataclass(frozen=True, kw_only=True)
class TuneCommand(WordsCommand, FieldsCommand):
    """Fine-tune a model on your data; the recipe is chosen by model and data, shown, and written down.

    Every field of the recipe can be set as with `tessera train`, for example --stages.0.steps 20. The same
    command goes on where it was stopped.
    """

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL DATA [DATA ...]")
    ] = ()
    """A model (name, folder, "shipped", folder of an earlier fine-tune); manifests or files of records."""
    out: Path = Path("runs/tune")
    """Folder of the run."""
    method: Method = "sft"
    """sft learns answers; mpo, dpo, bco, ipo, hinge, simpo learn from pairs of answers; grpo from answers of
    its own (docs/align.md)."""
    beta: float | None = None
    """What rewards of pairs are scaled by; of grpo, the weight of the distance to the first weights."""
    prompts: int = 8
    """grpo: questions a step."""
    group: int = 8
    """grpo: answers of its own to each."""
    new_tokens: int = 1024
    """grpo: most tokens of such an answer."""
    prompt_version: str = "en_v2"
    """grpo: how the result of such an answer is found (docs/prefer.md)."""
    critic: str | None = None
    """grpo: a process reward model that rates such answers, too."""
    full: bool = False
    """Train the weights themselves instead of LoRA factors."""
    parts: tuple[Part, ...] = ()
    """What learns: vision, connector, decoder. By default the decoder; with --full the connector, too."""
    lora_rank: int = 16
    """Rank of the factors."""
    lora_alpha: float | None = None
    """Their scale is alpha / rank; twice the rank by default."""
    lora_dropout: float = 0.05
    """Share of their input that they don't see in training."""
    rate: float | None = None
    """Peak learning rate."""
    passes: float | None = None
    """Passes over the data."""
    samples: int | None = None
    """Samples that a step learns from, about."""
    max_tokens: int | None = None
    """Tokens of a pack."""
    tiles: int | None = None
    """Most tiles of a picture."""
    val: float = 0.02
    """Share of the records that the loss is measured on; 0 keeps none from training."""
    val_data: Path | None = None
    """Manifest to measure on, instead of a share."""
    ask: int = 8
    """Questions of the records held out that the model answers on the way; 0 asks nothing."""
    seed: int = 0
    """Of order, first factors and dropout."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of weights and products."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    device_memory: str | None = None
    """Choose what fits into this memory, for example 24GB; by default into that of the device here."""
    track: str | None = None
    """Give the numbers of every step to tensorboard, trackio, wandb, or to what module:function makes."""
    peak: float | None = None
    """TFLOP/s that one device can do in this precision: the useful ones are told as a share of it (MFU)."""
    resume: bool = False
    """Only go on: an error where no run stands. Without it the command goes on, or begins."""
    no_plan_check: bool = False
    """Start although the plan says that the memory is far from enough."""
    accept_changed_data: bool = False
    """Go on although the data has changed since the run was saved."""

    def run(self) -> int:
        if len(self.words) < 2:
            raise ValueError("give a model and data: tessera tune MODEL DATA --out FOLDER")
        if not 0 <= self.val < 1:
            raise ValueError(f"--val {self.val}: give a share of the records, from 0 to below 1")
        ranks = join()
        console = Terminal(stderr=self.json, quiet=not ranks.leads)
        with hold(self.out), progress_bars(keep=True, shown=ranks.leads) as bars:
            recipe = self._agreed(ranks, bars, console)
            if not self.no_plan_check:
                require_memory(recipe)
            trainer = prepare(recipe, self.out, bars, console, changed_data=self.accept_changed_data)
            figures = stage_figures(follow(trainer, trainer.run(), bars, console, self.track, self.peak))
        if trainer.stopped:
            return say_stopped(trainer, console)
        last = trainer.stage_folder(len(recipe.stages) - 1)
        del trainer  # merging needs the memory
        if ranks.leads:
            model = merged(last, self.out, console)
            self.tell(
                lambda: {"out": self.out, "adapter": last, "model": model, "stages": figures},
                lambda: say(console, f'ask it: tessera chat PICTURE "QUESTION" --model {model}'),
            )
        return 0

    def _agreed(self, ranks: Ranks, bars: Bars, console: Console) -> Recipe:
        """The recipe that the process that leads has found or chosen."""
        recipe = self.recipe(bars, console) if ranks.leads else None
        totals([0.0], ranks)  # from here on the file is there
        return recipe or load_recipe(self.out / RECIPE)

    def recipe(self, bars: Bars, console: Console) -> Recipe:
        """The recipe of the folder, which an earlier call chose, or a new one, shown and written.

        ValueError when the folder was begun with another request.
        """
        if (self.out / ASKED).is_file() and (self.out / "state").is_dir():
            self._require_same_request()
            recipe = load_recipe(self.out / RECIPE)
            if not self.no_plan_check:
                require_memory(recipe)
            return recipe
        require_run(self.out, self.resume)
        wish = Wish(**{name: getattr(self, name) for name in Wish.model_fields})
        checkpoint = find_model(self.words[0])
        described = describe_model(checkpoint)
        data = read_data(self.words[1:])
        training, validation = write_parts(self.out / DATA, data, 0.0 if self.val_data else self.val)
        encoder = described.family.encoder(described.tokenizer)
        lengths = measure(training, self.tiles, encoder, bars)
        recipe, choices = choose(
            described.family,
            checkpoint,
            lengths,
            str(training),
            None if (measured := self.val_data or validation) is None else str(measured),
            wish,
            join().world,
        )
        update = {name: getattr(self, name) for name in ("seed", "precision", "device")}
        recipe = with_fields(recipe.model_copy(update=update), self.fields)
        if not is_small(recipe):
            recipe, memory = self._fitted(recipe, lengths)
            choices = (*choices, memory)
        console.print(choices_table(described.family.name, lengths, choices))
        self._write(recipe)
        return recipe

    def _fitted(self, recipe: Recipe, lengths: DataLengths) -> tuple[Recipe, TunedChoice]:
        """With what makes it fit its device. ValueError where nothing does."""
        machine = find_machine(recipe.device, self.device_memory, None, join().world)
        asked = () if self.max_tokens is None else ("--stages.0.packing.max-tokens",)
        found = fit(recipe, lengths, machine, (*self.fields, *asked))
        if found.advice.total > USUAL.far * machine.memory and not self.no_plan_check:
            raise too_large(found.plan, found.advice)
        return found.advice.recipe, found.choice

    def _request(self) -> dict[str, Any]:
        """What decides the recipe, as plain values."""
        left_out = ("json", "out", "accept_changed_data", "resume", "track", "peak")
        asked = {name: value for name, value in vars(self).items() if name not in left_out}
        values: dict[str, Any] = json.loads(json.dumps(asked, default=str))
        return values

    def _require_same_request(self) -> None:
        before, now = json.loads((self.out / ASKED).read_text(encoding="utf-8")), self._request()
        differing = [name for name in before | now if before.get(name) != now.get(name)]
        if differing:
            name = differing[0]
            raise ValueError(
                f"{shown(self.out)} was begun with {name} {shown(before.get(name))}, "
                f"now {shown(now.get(name))}; give another --out, or edit {RECIPE} and use tessera train"
            )

    def _write(self, recipe: Recipe) -> None:
        """Recipe and request, for the next call."""
        model, *data = self.words
        card = CARD.format(model=model, data=", ".join(data), file=self.out / RECIPE, out=self.out)
        for name, text in ((RECIPE, written(recipe, card)), (ASKED, json.dumps(self._request(), indent=1))):
            with atomic_write(self.out / name) as stream:
                stream.write(text.encode())


def find_model(name: str) -> str:
    """A model as `Start.checkpoint` takes it; the folder of an earlier fine-tune stands for its result."""
    folder = Path(name)
    if not (folder / ASKED).is_file():
        return name
    stages = load_recipe(folder / RECIPE).stages
    last = folder / f"{len(stages) - 1}_{stages[-1].name}"
    result = folder / MERGED if is_adapter(last) else last
    if not result.is_dir():
        raise ValueError(f"{shown(name)} is a fine-tune that did not end; go on with it first")
    return str(result)


def describe_model(checkpoint: str) -> Description:
    """What is known of a model before its weights are read."""
    return read_description(find_checkpoint(checkpoint))


def with_fields(recipe: Recipe, words: Sequence[str]) -> Recipe:
    """The recipe with fields set as on the command line. ValueError for what is no field of it."""
    config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)
    with mistakes_as_errors():
        return tyro.cli(Recipe, default=recipe, args=words, prog="tessera tune", config=config)


def choices_table(model: str, data: DataLengths, choices: Sequence[TunedChoice]) -> Any:
    """What was chosen, and why."""
    title = f"fine-tune of {model} on {data.records:,} records, {data.tokens:,} tokens"
    grid = figures_table("what", title=title, title_justify="left")
    for head in ("value", "why"):
        grid.add_column(head)
    for choice in choices:
        grid.add_row(choice.what, choice.value, choice.why)
    return grid
