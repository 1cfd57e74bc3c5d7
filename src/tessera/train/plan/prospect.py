"""The model of a run as far as it is known without its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.added import NewTokens
from tessera.checkpoints.bases.parts import stored_dtype
from tessera.checkpoints.hub import cached_snapshot, lacking
from tessera.checkpoints.load import read_description
from tessera.families.catalogue import get_entry, get_family
from tessera.families.family import Family
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.train.objective.learner import ChatLearner, Start, assemble, base_folder, missing_links
from tessera.train.recipe import is_gap


@dataclass(frozen=True)
class Prospect:
    """What will be trained, and what reads for it."""

    family: Family
    stored: torch.dtype
    """Of the weights in the beginning."""
    tokenizer: Tokenizer | None = None
    """None where the model is known from the catalogue alone: its data can't be measured."""

    @property
    def learner(self) -> ChatLearner | None:
        """What reads data, with a model without memory."""
        if self.tokenizer is None:
            return None
        with without_memory():
            model = VLM(self.family.model)
        encoder = self.family.encoder(self.tokenizer)
        return ChatLearner(model, encoder.tokenizer, encoder, self.family)


def look_ahead(start: Start) -> Prospect:
    """The model that a run starts from: by its files where they are here, else by its name in the catalogue.

    Nothing is downloaded. ValueError for what is neither here nor in the catalogue.
    """
    if start.checkpoint is None:
        known = start.family is None or all(_is_here(part) for part in (start.vision, start.decoder) if part)
        return _assembled(start) if known else _named(start)
    if is_gap(start.checkpoint) or not _is_here(start.checkpoint):
        return _named(start)
    folder, _ = find_with_adapter(base_folder(start.checkpoint, "model"), start.adapter)
    said = read_description(folder)
    family, tokenizer = said.family, said.tokenizer
    if names := (*start.add_tokens, *missing_links(start, folder)):
        new = NewTokens.plan(tokenizer, family, names)
        family, tokenizer = new.family, new.tokenizer
    if start.links:
        family = family.model_copy(update={"links": start.links})
    return Prospect(family.model_copy(update=start.said), stored_dtype(folder), tokenizer)


def _assembled(start: Start) -> Prospect:
    parts = assemble(start)
    return Prospect(parts.family.model_copy(update=start.said), parts.dtype, parts.tokenizer)


def _named(start: Start) -> Prospect:
    """As the catalogue has it; released weights are bfloat16."""
    if start.family:
        return Prospect(get_family(start.family), torch.bfloat16)
    name = start.checkpoint or ""
    if is_gap(name):
        raise ValueError("start.checkpoint is yours to fill, and start.family says nothing of its shape")
    return Prospect(get_entry(name).family(), torch.bfloat16)


def _is_here(given: str) -> bool:
    """Whether it is a folder, or complete in the hub's cache."""
    if given == "shipped" or Path(given).expanduser().is_dir():
        return True
    if is_gap(given) or given.count("/") != 1:
        return False
    found = cached_snapshot(given)
    return found is not None and not lacking(found, alone=True)
