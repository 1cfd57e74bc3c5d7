"""From a recipe to objects: model, encoder, loaders, objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tessera.chat.encoder import Encoder
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.checkpoints.surgery import load_part
from tessera.data.check import CheckReport, check_source
from tessera.data.faults import DataError
from tessera.data.loader import PackLoader
from tessera.data.manifest import read_meta
from tessera.data.pairs import PairLoader
from tessera.data.readers.jsonl import JsonlReader
from tessera.data.readers.playground import PlaygroundReader
from tessera.data.source import WeightedSource
from tessera.families.catalog import fresh
from tessera.families.family import Family
from tessera.models.contrastive import ContrastivePair
from tessera.models.initialise import initialise
from tessera.runtime.seeds import derive_seed
from tessera.train.objective import ContrastiveObjective, ConversationObjective, Objective
from tessera.train.recipe import ContrastiveStage, ManifestSpec, Recipe, Stage, Start
