"""A trained adapter in PEFT's files, in the names of its base's published layout.

Other trained weights come along whole, as PEFT's `modules_to_save`. Fields: PEFT 0.21, `LoraConfig`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tessera.checkpoints.adapter import WRAPPER
from tessera.checkpoints.added import EMBEDDING, HEAD
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.files.folder import ADAPTER_CONFIG, ADAPTER_FILES
from tessera.checkpoints.load import empty_model
from tessera.checkpoints.lora.factors import Factors, to_stored
from tessera.checkpoints.save import layout_for
from tessera.families.family import Family
from tessera.families.keymap import OWN, Group
from tessera.nn.lora import LoRAConfig
from tessera.runtime.json_file import write_json
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class AdapterPlan:
    """What the file of a wrapped model holds, by names alone, so that faults are known before training."""

    wrapped: Mapping[str, LoRAConfig]
    """By the own name of the weight that has factors."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of all own weights."""
    groups: tuple[Group, ...]
    """All weights, in their own order, and how the base's layout names them."""
    modules: tuple[str, ...]
    """Stored names of modules that are written whole, for one of their weights was trained itself."""
    base: str
    """Name or folder of the model that the adapter is for."""

    @classmethod
    def of(
        cls,
        linears: Mapping[str, LoRAConfig],
        family: Family,
        layout: LayoutName,
        base: str,
        trained: Collection[str],
    ) -> AdapterPlan:
        """`linears`: path of each wrapped one; `trained`: own names of weights that are trained themselves;
        `layout`, `base`: of the model that the adapter is for, `base` being its folder or hub name.

        ValueError when PEFT's form can't hold one beside the factors.
        """
        published = layout_for(family, layout)
        keymap = OWN if published is None else published.key_table(family)
        shapes = {name: tuple(p.shape) for name, p in empty_model(family).named_parameters()}
        if published is not None and HEAD not in shapes:
            shapes[HEAD] = shapes[EMBEDDING]  # published layouts store a tied head apart
            trained = {*trained, *((HEAD,) if EMBEDDING in trained else ())}
        groups = tuple(dict.fromkeys(map(keymap.group, shapes)))
        modules = _modules(key for group in groups if set(group.own) & set(trained) for key in group.stored)
        wrapped = {f"{path}.weight": config for path, config in linears.items()}
        plan = cls(wrapped, shapes, groups, modules, base)
        whole = [name for group in groups if plan.is_whole(group) for name in group.own]
        if both := [name for name in whole if name in wrapped]:
            raise ValueError(
                f"{shown(both[0])} has LoRA factors, and a weight in the same module is trained itself: "
                "PEFT's files can't hold both; freeze that weight, or train it in another stage"
            )
        return plan

    def is_whole(self, group: Group) -> bool:
        """Whether these weights are written themselves."""
        return any(key.startswith(f"{module}.") for key in group.stored for module in self.modules)

    def write(self, folder: Path, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Write both files. `tensors`: own names and values of the model's weights and factors, in any order;
        what the plan doesn't name is passed over."""
        wanted = {name for group in self.groups if self.is_whole(group) for name in group.own}
        wanted |= {f"{name.removesuffix('weight')}lora_{side}" for name in self.wrapped for side in "AB"}
        held = {name: tensor for name, tensor in tensors if name in wanted}
        if HEAD in wanted and HEAD not in held:
            held[HEAD] = held[EMBEDDING]
        stored: dict[str, torch.Tensor] = {}
        factors: dict[str, Factors] = {}
        for group in self.groups:
            if self.is_whole(group):
                stored |= zip(group.stored, group.to_stored([held[name] for name in group.own]), strict=True)
            elif own := {name: self._factors(name, held) for name in group.own if name in self.wrapped}:
                factors |= to_stored(group, own, [self.shapes[name] for name in group.own])
        for key, given in factors.items():
            module = key.removesuffix(".weight")
            stored |= {f"{module}.lora_A.weight": given.down, f"{module}.lora_B.weight": given.up}
        files = {f"{WRAPPER}{key}": tensor.cpu().clone() for key, tensor in stored.items()}
        save_file({key: tensor.contiguous() for key, tensor in files.items()}, folder / ADAPTER_FILES[0])
        write_json(folder / ADAPTER_CONFIG, self._config(factors))

    def _factors(self, name: str, held: Mapping[str, torch.Tensor]) -> Factors:
        prefix = name.removesuffix("weight")
        return Factors(held[f"{prefix}lora_B"], held[f"{prefix}lora_A"], self.wrapped[name].scale)

    def _config(self, factors: Mapping[str, Factors]) -> dict[str, Any]:
        """Ranks and alphas that most modules have, the others by their names."""
        root = all(config.rslora for config in self.wrapped.values())
        ranks = {key.removesuffix(".weight"): given.rank for key, given in factors.items()}
        alphas = {
            key.removesuffix(".weight"): _plain(given.scale * (math.sqrt(given.rank) if root else given.rank))
            for key, given in factors.items()
        }
        rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
        return {
            "peft_type": "LORA",
            "base_model_name_or_path": self.base,
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": max(config.dropout for config in self.wrapped.values()),
            "use_rslora": root,
            "rank_pattern": {name: found for name, found in ranks.items() if found != rank},
            "alpha_pattern": {name: found for name, found in alphas.items() if found != alpha},
            "target_modules": self._targets(ranks),
            "modules_to_save": list(self.modules) or None,
            "bias": "none",
            "fan_in_fan_out": False,
            "init_lora_weights": True,
            "inference_mode": True,
            "task_type": None,
        }

    def _targets(self, wrapped: Collection[str]) -> list[str]:
        """The shortest ends of names that mean wrapped modules and no others."""
        stored = {key.rpartition(".")[0] for group in self.groups for key in group.stored}
        others = {end for name in stored - set(wrapped) for end in _ends(name)}
        return sorted({next(end for end in _ends(name) if end not in others) for name in wrapped})


def _modules(keys: Iterable[str]) -> tuple[str, ...]:
    """Modules that hold these tensors; one that lies in another is not named apart."""
    names = dict.fromkeys(key.rpartition(".")[0] for key in keys)
    return tuple(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def _ends(name: str) -> list[str]:
    """`c`, `b.c`, `a.b.c` of `a.b.c`."""
    words = name.split(".")
    return [".".join(words[start:]) for start in range(len(words) - 1, -1, -1)]


def _plain(value: float) -> float:
    """Whole where it is one but for rounding: other tools expect an integer."""
    near = round(value)
    return near if math.isclose(value, near, rel_tol=1e-12) else value
