"""Everything needed to go on exactly: weights, optimizer, data position and random state, without pickle."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.train.optimizers import Optimizer


@dataclass(frozen=True)
class Position:
    """The next step to take: stage number and step in it, and the loader's own state."""

    stage_index: int
    step: int
    loader: dict[str, Any]


def save_state(
    folder: Path, recipe: dict[str, Any], position: Position, model: nn.Module, optimizer: Optimizer
) -> None:
    """Write beside, then swap: a crash in the middle leaves the previous state whole."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    save_file(weights, fresh / "weights.safetensors")
    save_file(optimizer.state_tensors() | _random_states(), fresh / "optimizer.safetensors")
    facts = {
        "recipe": recipe,
        "stage": position.stage_index,
        "step": position.step,
        "loader": position.loader,
    }
    (fresh / "state.json").write_text(json.dumps(facts), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def read_position(folder: Path, recipe: dict[str, Any]) -> Position | None:
    """Where a saved run stands, or None when there is none.

    Raises ValueError naming the first field in which the saved recipe differs from this one.
    """
    file = folder / "state.json"
    if not file.exists():
        return None
    facts = json.loads(file.read_text(encoding="utf-8"))
    if difference := _first_difference(facts["recipe"], json.loads(json.dumps(recipe)), "recipe"):
        raise ValueError(f"{folder} holds another run: {difference}; use another --out, or delete the folder")
    return Position(facts["stage"], facts["step"], facts["loader"])


def restore_state(folder: Path, model: nn.Module, optimizer: Optimizer | None) -> None:
    """Weights, optimizer memory and random state of `save_state` into objects built from the same recipe."""
    weights = load_file(folder / "weights.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    tensors = load_file(folder / "optimizer.safetensors")
    torch.set_rng_state(tensors.pop("random/cpu"))
    if (state := tensors.pop("random/cuda", None)) is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state)
    if optimizer is not None:
        optimizer.load_state_tensors(tensors)


def _random_states() -> dict[str, torch.Tensor]:
    """Drop path draws on the device that trains."""
    states = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random/cuda"] = torch.cuda.get_rng_state()
    return states


def _first_difference(saved: Any, given: Any, where: str) -> str | None:
    if isinstance(saved, dict) and isinstance(given, dict):
        for key in sorted(saved.keys() | given.keys()):
            found = _first_difference(saved.get(key), given.get(key), f"{where}.{key}")
            if found:
                return found
        return None
    if isinstance(saved, list) and isinstance(given, list) and len(saved) == len(given):
        pairs = enumerate(zip(saved, given, strict=True))
        return next((d for i, (a, b) in pairs if (d := _first_difference(a, b, f"{where}.{i}"))), None)
    return None if saved == given else f"{where} was {saved!r}, now {given!r}"
