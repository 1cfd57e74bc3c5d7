"""How a harness asks and judges: rules for all questions, for each kind, and a benchmark's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from tessera.evaluation.benchmarks.benchmark import Benchmark, Declared, Kind, PresetRules
from tessera.runtime.shown import shown

PRESETS = ("official", "vlmevalkit", "lmms-eval")
FOLDER = files("tessera") / "assets" / "presets"


class Preset(Declared):
    """One file of `assets/presets`. version: of the harness whose rules these are."""

    name: str
    version: str
    about: str
    total_tiles: int | None = Field(default=None, ge=1)
    """all pictures of a question share so many"""
    otherwise: str | None = None
    """preset that answers for benchmarks which this one's harness doesn't have"""
    several: Literal["numbered", "spaced"] = "numbered"
    """how several pictures stand in front where the prompt doesn't: `Image-1: <image>` a line, or one line"""
    stripped: bool = False
    """white space around a reply goes before it is judged"""
    rules: PresetRules
    kinds: dict[Kind, PresetRules]

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"


class ResolvedRules(Declared):
    """How a benchmark is asked by a preset; nothing is left open but what may be."""

    preset: str
    """name and version of the preset that answered"""
    prompt: str
    cot: str | None
    system: str | None
    tiles: int | None
    total_tiles: int | None
    several: Literal["numbered", "spaced"]
    stripped: bool
    first_enlarged: bool
    joined: bool
    frames: int | None
    new_tokens: int
    min_new_tokens: int | None
    scorer: dict[str, Any]
    aggregate: dict[str, Any]
    data: str | None


@cache
def load_preset(given: str) -> Preset:
    """A preset by its name, or by name@version. ValueError naming what there is."""
    name, at, version = given.partition("@")
    if name not in PRESETS:
        raise ValueError(f"preset {shown(given)} is unknown; choose from {', '.join(PRESETS)}")
    preset = Preset.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))
    if at and version != preset.version:
        raise ValueError(f"preset {shown(given)}: this Tessera has the rules of {preset.label}")
    return preset


def resolve(benchmark: Benchmark, given: str) -> ResolvedRules:
    """What holds for a benchmark: its own rules for the preset, before those for its kind, before all."""
    preset = load_preset(given)
    if preset.name not in benchmark.presets and preset.otherwise is not None:
        return resolve(benchmark, preset.otherwise)
    layers = (
        benchmark.presets.get(preset.name, PresetRules()),
        preset.kinds.get(benchmark.kind, PresetRules()),
        preset.rules,
    )
    found: dict[str, Any] = {}
    for layer in layers:
        found = {name: value for name, value in layer if value is not None} | found
    chosen = {
        "scorer": found.get("scorer", benchmark.scorer).model_dump(),
        "aggregate": found.get("aggregate", benchmark.aggregate).model_dump(),
    }
    open_fields: Mapping[str, Any] = dict.fromkeys(
        ("cot", "system", "tiles", "frames", "min_new_tokens", "data")
    )
    usual = {"prompt": "{{ question }}", "first_enlarged": False, "joined": False, "new_tokens": 1024}
    own = {"preset": preset.label, "several": preset.several, "stripped": preset.stripped}
    shared = {"total_tiles": preset.total_tiles}
    return ResolvedRules(**{**open_fields, **usual, **shared, **found, **own, **chosen})
