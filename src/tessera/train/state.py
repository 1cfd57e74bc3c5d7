"""Everything needed to go on exactly: weights, optimizer, data position and random state, without pickle."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.train.optimizers import Optimizer
from tessera.train.recipe import Recipe

WEIGHTS, MEMORY, FACTS = "weights.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class RunPosition:
    """The next step to take: stage number and step in it, and the loader's own state."""

    stage: int
    step: int
    loader: dict[str, Any]


@dataclass(frozen=True)
class StateFolder:
    """Where the running state of a recipe is kept."""

    folder: Path
    recipe: Recipe

    def save(self, position: RunPosition, model: nn.Module, optimizer: Optimizer) -> None:
        """Write beside, then swap: a crash in the middle leaves the previous state whole."""
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
        save_file(weights, fresh / WEIGHTS)
        save_file(optimizer.state_tensors() | _random_states(), fresh / MEMORY)
        facts = {"recipe": self.recipe.model_dump(mode="json"), **vars(position)}
        (fresh / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        fresh.rename(self.folder)

    def position(self) -> RunPosition | None:
        """Where a saved run stands, or None when there is none.

        Raises ValueError naming the first field in which the saved recipe differs from this one.
        """
        file = self.folder / FACTS
        if not file.exists():
            return None
        facts = json.loads(file.read_text(encoding="utf-8"))
        given = json.loads(self.recipe.model_dump_json())
        if difference := _first_difference(facts.pop("recipe"), given, "recipe"):
            raise ValueError(
                f"{self.folder} holds another run: {difference}; use another --out, or delete the folder"
            )
        return RunPosition(**facts)

    def restore(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        """Weights, optimizer memory and random state into objects built from the same recipe."""
        weights = load_file(self.folder / WEIGHTS)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name])
        tensors = load_file(self.folder / MEMORY)
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
        pairs = [(key, saved.get(key), given.get(key)) for key in sorted(saved.keys() | given.keys())]
    elif isinstance(saved, list) and isinstance(given, list) and len(saved) == len(given):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(saved, given, strict=True))]
    else:
        return None if saved == given else f"{where} was {saved!r}, now {given!r}"
    return next((d for key, a, b in pairs if (d := _first_difference(a, b, f"{where}.{key}"))), None)
