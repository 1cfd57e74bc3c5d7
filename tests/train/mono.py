"""A nano model with visual experts, which reads what `tiny` draws."""

from __future__ import annotations

from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tests.train import tiny


def model(seed: int = 0, name: str = "nano_mono") -> VLM:
    """With its own weights."""
    built = VLM(fresh(name, tiny.tokenizer()).model)
    initialise(built, seed)
    return built.train()
