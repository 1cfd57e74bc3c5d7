"""Defaults of a fine-tune: from a model, the lengths of its data and what is wished to a recipe, with the
reason for each value.

Rates, decay, drop path and length are those of the published second fine-tune of the model, or of the one
nearest in size (`internvl/second.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from tessera.chat.encoder import Lengths
from tessera.families.catalogue import identify
from tessera.families.family import Family
from tessera.models.accounting import count_parameters
from tessera.nn.lora import LoRAConfig
from tessera.packing.config import PackingConfig
from tessera.recipes.aligning import PAIRS, Method, objective_for, preference_rate, told_rows
from tessera.recipes.internvl.second import SERIES, Tuning
from tessera.recipes.internvl.stage import PARTS, Part
from tessera.runtime.config import Config
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.update.rules import DECODER_LINEARS, Rule
from tessera.train.update.schedule import Schedule
from tessera.train.watch.evaluation import EvaluationSpec

STAGE = "tune"
LINEARS: dict[Part, str] = {
    "vision": r"^vision\.layers\.\d+\.(attn|mlp)\.\w+\.",
    "connector": r"^connector\.linear_\d\.",
    "decoder": DECODER_LINEARS,
}
"""Linear layers that LoRA puts factors beside: those of the published lists (docs/facts/recipes.md)."""
TOY = Tuning(5e-4, 0.01, 0.0, 4096, 6, "chosen on the scale model (docs/tune.md)")
TOY_LORA_RATE = 3e-3
"""Of the scale model; 1e-3 came to three times the held-out loss in as many steps."""
MOST_TOY = 100_000_000
"""Parameters below which a model is none of the published kind."""
NEAREST = ((4.5e9, "InternVL2_5-4B"), (1.2e10, "InternVL2_5-8B"), (math.inf, "InternVL2_5-26B"))
"""Most parameters → the published model whose values are taken for one without values of its own."""
SAMPLES = {"lora": 16, "full": 128}
"""Samples a step of the published scripts."""
FEWEST_STEPS, FEWEST_SAMPLES = 100, 8
"""Small data gets smaller steps, but no smaller than this, to come to so many of them."""
PASSES = ((2_000, 3.0), (20_000, 2.0))
"""Fewer records than this → passes over them; one from there on, as published."""
GRAIN = 256
"""Packs hold a multiple of so many tokens."""


class Wish(Config):
    """What the user asks of a fine-tune; None leaves a value to the table of defaults."""

    method: Method = "sft"
    """sft learns answers; grpo learns from answers of its own; the others learn from pairs of answers."""
    prompts: int = Field(default=8, gt=0)
    """Questions a step of grpo."""
    group: int = Field(default=8, gt=1)
    """Answers of its own to each."""
    new_tokens: int = Field(default=1024, gt=0)
    """Most tokens of such an answer."""
    prompt_version: str = "en_v2"
    """How the result of such an answer is found."""
    critic: str | None = None
    """A process reward model that rates such answers, too."""
    beta: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """What rewards of pairs are scaled by; None as the method has it."""
    full: bool = False
    """Train the weights of the parts themselves instead of low-rank factors."""
    parts: tuple[Part, ...] = ()
    """What learns; the decoder with LoRA, connector and decoder in full."""
    lora_rank: int = Field(default=16, gt=0)
    lora_alpha: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """None is twice the rank."""
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Peak learning rate."""
    passes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Passes over the data."""
    samples: int | None = Field(default=None, gt=0)
    """Samples that a step learns from, about."""
    ask: int = Field(default=8, ge=0)
    """Questions of the records held out that the model answers on the way."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens of a pack."""
    tiles: int | None = Field(default=None, gt=0)
    """Most tiles of a picture."""

    @model_validator(mode="after")
    def _factors_or_weights(self) -> Self:
        for name in ("lora_rank", "lora_alpha", "lora_dropout"):
            if self.full and getattr(self, name) != type(self).model_fields[name].default:
                given = f"{name} = {getattr(self, name)}"
                raise ValueError(f"{given}: full trains no factors; leave one of them out")
        return self

    @property
    def kind(self) -> str:
        """How it learns: "full" or "lora"."""
        return "full" if self.full else "lora"

    @property
    def of_pairs(self) -> bool:
        """Whether it learns from pairs of answers."""
        return self.method not in ("sft", "grpo")

    @property
    def own_answers(self) -> dict[str, Any]:
        """Settings of the objective that learns from answers of its own."""
        rest = {"reference": "copy" if self.full else "base", "max_new_tokens": self.new_tokens}
        return rest | {n: getattr(self, n) for n in ("prompts", "group", "prompt_version", "critic")}


@dataclass(frozen=True)
class DataLengths:
    """What is known of the data before a picture is decoded. `tokens` and `tiles` are sums."""

    records: int
    tokens: int
    tiles: int
    longest_tokens: int
    longest_tiles: int

    @property
    def mean(self) -> float:
        """Tokens of a record."""
        return self.tokens / max(1, self.records)

    @property
    def mean_sample(self) -> Lengths:
        """The mean record; half of its text is taken to be learned."""
        return Lengths(max(2, round(self.mean)), round(self.tiles / max(1, self.records)))

    @classmethod
    def total(cls, parts: Sequence[Self]) -> Self:
        """All of them together."""
        sums = (sum(getattr(part, name) for part in parts) for name in ("records", "tokens", "tiles"))
        longest = (max(getattr(part, f"longest_{name}") for part in parts) for name in ("tokens", "tiles"))
        return cls(*sums, *longest)


@dataclass(frozen=True)
class TunedChoice:
    """A value of the recipe, in words, and why."""

    what: str
    value: str
    why: str


def published(family: Family) -> tuple[Tuning, str]:
    """The values to start from, and whose they are."""
    entry = identify(family)
    for name in (family.name, entry.name if entry else "", entry.base if entry else ""):
        if name in SERIES:
            return SERIES[name], f"published for {name}"
    total = count_parameters(family.model)["total"]
    if total < MOST_TOY:
        return TOY, TOY.source
    name = next(name for most, name in NEAREST if total < most)
    return SERIES[name], f"published for {name}, the nearest in size"


def choose(
    family: Family,
    checkpoint: str,
    data: DataLengths,
    meta: str,
    validation: str | None,
    wish: Wish,
    world: int = 1,
) -> tuple[Recipe, tuple[TunedChoice, ...]]:
    """The recipe of a fine-tune, and its choices in the order in which they are made.

    `checkpoint` as `Start` takes it; `meta` and `validation` are manifests; `world` processes share a step.
    """
    row, whose = published(family)
    samples, why_samples = _samples(data, wish)
    passes, why_passes = _passes(data, wish)
    packing, why_packs = _packing(family, row, data, samples, wish)
    accumulate = world * max(1, round(samples * data.mean / packing.max_tokens / world))
    steps = max(1, math.ceil(passes * data.tokens / packing.max_tokens / accumulate))
    if wish.method == "grpo":
        accumulate, steps = 1, max(1, math.ceil(passes * data.records / wish.prompts))
    rate, why_rate = _rate(family, row, whose, wish)
    often = min(500, max(10, steps // 10))
    stage = Stage(
        name=STAGE,
        steps=steps,
        rules=_rules(wish, rate, row.decay),
        objective=objective_for(wish.method, wish.beta, wish.own_answers),
        sources=(ManifestSpec(meta=meta, max_dynamic_patch=wish.tiles),),
        packing=packing,
        accumulate=accumulate,
        schedule=Schedule(warmup=0.03),
        drop_path=row.drop_path if "vision" in parts_of(wish) and wish.full and _has_blocks(family) else None,
        validation=() if validation is None else (validation,),
        validate_every=often,
        evaluation=_questions(wish, validation, often),
    )
    recipe = Recipe(name="tune", stages=(stage,), start=Start(checkpoint=checkpoint), save_every=often)
    return recipe, (
        _what_learns(wish),
        *(TunedChoice(*row) for row in told_rows(stage.objective)),
        TunedChoice("learning rate", f"{rate:g}, cosine to zero", why_rate),
        TunedChoice("weight decay", f"{row.decay:g}", whose),
        TunedChoice("passes", f"{passes:g}", why_passes),
        TunedChoice("pack", f"{packing.max_tokens:,} tokens, {packing.max_tiles} tiles", why_packs),
        *_step_size(wish, samples, accumulate, why_samples),
        TunedChoice("steps", f"{steps:,}", f"{passes:g} passes over {data.tokens:,} tokens"),
        TunedChoice("measured, saved", f"every {often} steps", "ten times a run, at least every 500 steps"),
    )


def _has_blocks(family: Family) -> bool:
    """Whether its vision part has blocks that may be dropped: a patch embedding has none."""
    return bool(getattr(getattr(family.model, "vision", None), "num_hidden_layers", 1))


def parts_of(wish: Wish) -> tuple[Part, ...]:
    """What learns."""
    return wish.parts or (("connector", "decoder") if wish.full else ("decoder",))


def _questions(wish: Wish, validation: str | None, every: int) -> EvaluationSpec | None:
    """The first questions of records held out; answers of pairs are no right ones to compare with."""
    if validation is None or not wish.ask or wish.of_pairs:
        return None
    return EvaluationSpec(records=validation, every=every, count=wish.ask)


def _what_learns(wish: Wish) -> TunedChoice:
    parts = ", ".join(parts_of(wish))
    if wish.full:
        return TunedChoice("trained", parts, "as asked" if wish.parts else "all but the ViT, as published")
    alpha = 2 * wish.lora_rank if wish.lora_alpha is None else wish.lora_alpha
    value = f"LoRA on {parts}: rank {wish.lora_rank}, alpha {alpha:g}, dropout {wish.lora_dropout:g}"
    return TunedChoice("trained", value, "as asked" if wish.parts else "all else is frozen, as published")


def _step_size(wish: Wish, samples: int, packs: int, why: str) -> tuple[TunedChoice, ...]:
    """What a step learns from, unless the objective has said it."""
    what = "pairs a step" if wish.of_pairs else "samples a step"
    told = wish.method == "grpo"
    return () if told else (TunedChoice(what, f"about {samples}, in {packs} packs", why),)


def _rate(family: Family, row: Tuning, whose: str, wish: Wish) -> tuple[float, str]:
    """Peak learning rate, and whose it is."""
    if wish.rate:
        return wish.rate, "as asked"
    if wish.method != "sft":
        return preference_rate(family, wish.kind, row is TOY)
    return (TOY_LORA_RATE if row is TOY and not wish.full else row.rate), whose


def _rules(wish: Wish, rate: float, decay: float) -> tuple[Rule, ...]:
    """A rule a part that learns, and one that freezes the rest."""
    learns = {"learning_rate": rate, "weight_decay": decay}
    chosen = [part for part in PARTS if part in parts_of(wish)]
    if wish.full:
        rules = [Rule(pattern=rf"^{part}\.", **learns) for part in chosen]
        return (*rules, Rule(pattern=".")) if len(chosen) < len(PARTS) else tuple(rules)
    lora = LoRAConfig(rank=wish.lora_rank, alpha=wish.lora_alpha, dropout=wish.lora_dropout)
    return (*(Rule(pattern=LINEARS[part], lora=lora, **learns) for part in chosen), Rule(pattern="."))


def _samples(data: DataLengths, wish: Wish) -> tuple[int, str]:
    if wish.samples:
        return wish.samples, "as asked"
    usual, passes = PAIRS if wish.of_pairs else SAMPLES[wish.kind], _passes(data, wish)[0]
    small = max(FEWEST_SAMPLES, int(data.records * passes / FEWEST_STEPS))
    if small < usual:
        return small, f"fewer than the published {usual}, for the data is small"
    return usual, "as published"


def _passes(data: DataLengths, wish: Wish) -> tuple[float, str]:
    if wish.passes:
        return wish.passes, "as asked"
    if wish.method != "sft":
        return 1.0, "as published for pairs" if wish.of_pairs else "questions are asked once"
    for fewer, passes in PASSES:
        if data.records < fewer:
            return passes, f"fewer than {fewer:,} records"
    return 1.0, f"{data.records:,} records are enough"


def _packing(
    family: Family, row: Tuning, data: DataLengths, samples: int, wish: Wish
) -> tuple[PackingConfig, str]:
    """As many tokens as the samples of a step have, but no more than published, and no record is cut."""
    if wish.max_tokens:
        tokens, why = wish.max_tokens, "as asked"
    else:
        wanted = GRAIN * math.ceil(samples * data.mean / GRAIN)
        longest = GRAIN * math.ceil(data.longest_tokens / GRAIN)
        longest += wish.new_tokens if wish.method == "grpo" else 0
        tokens = max(min(wanted, row.length), longest)
        why = "the longest record" if tokens == longest > min(wanted, row.length) else "the samples of a step"
        if tokens == row.length:
            why = "the published length"
    tiles = max(data.longest_tiles, tokens // family.model.tokens_per_tile, 1)
    return PackingConfig(max_tokens=tokens, max_tiles=tiles), why
