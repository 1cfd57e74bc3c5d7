"""What a model says of all answers of a stage, computed once by the model that the stage starts from.

A table for each source lies in the cache. Its name holds the digest of the model's weights and of all that
decides the samples, so that other methods on the same data find it.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tessera.models.vlm import VLM
from tessera.nn.lora import FACTORS, lora_linears, own_name
from tessera.packing.index import encoder_stamp, open_index
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack
from tessera.records.files.cache import cached_folder, find_cached
from tessera.records.source import WeightedSource
from tessera.train.objective.answers import answer_logprobs
from tessera.train.objective.contract import Beginning, Objective
from tessera.train.parallel.idle import shared_work
from tessera.train.parallel.ranks import Ranks, add_up, totals
from tessera.train.parallel.shard import reshard, weights_digest

VERSION, FILE = "1", "logprobs.npy"
SIDES = 2
Table = NDArray[np.float64]


class ReferenceTable:
    """Log-probabilities of both answers of every pair; a pack is looked up by the keys of its samples."""

    def __init__(self, objective: Objective, beginning: Beginning) -> None:
        ranks, model = beginning.mesh.ranks, beginning.learner.model
        weights = weights_digest(start_weights(model))
        stamps = [_stamp(beginning, entry, weights) for entry in beginning.sources]
        found = [find_cached("reference", stamp) for stamp in stamps]
        there = totals([float(folder is not None) for folder in found], ranks)
        missing = [n for n, count in enumerate(there) if count < ranks.world]
        self.computed = sum(beginning.sources[n].source.size or 0 for n in missing)
        """Pairs that were not in the cache."""
        fresh = _compute(objective, beginning, [beginning.sources[n] for n in missing]) if missing else []
        for number, table in zip(missing, fresh, strict=True):
            found[number] = cached_folder("reference", stamps[number], partial(_write, table))
        self._tables = {
            entry.source.name: np.load(folder / FILE, mmap_mode="r")
            for entry, folder in zip(beginning.sources, found, strict=True)
            if folder is not None
        }

    def __call__(self, model: VLM, pack: Pack, device: torch.device) -> torch.Tensor:
        """float64 [answers] on the device; zero for pairs of idle ranks, which count nowhere."""
        keys = [key for key, own in zip(pack.keys, pack.branches, strict=False) if own]
        rows = [self._row(key) if key else np.zeros(SIDES) for key in keys]
        return torch.from_numpy(np.array(rows).reshape(-1)).to(device)

    def _row(self, key: str) -> Table:
        source, _, index = key.rpartition(":")
        row = np.array(self._tables[source][int(index)])
        if np.isnan(row).any():
            raise ValueError(
                f"{key}: the reference has not seen this record: it was faulty or dropped when the table was "
                "made; set another TESSERA_CACHE to make it anew"
            )
        return row


def _write(table: Table, folder: Path) -> None:
    np.save(folder / FILE, table)


def not_cacheable(beginning: Beginning) -> str | None:
    """Why samples differ from visit to visit, or can't be counted; None where a table holds."""
    packing = beginning.data.packing
    if packing.v2pe == "random":
        return "packing.v2pe draws positions anew in every visit"
    for entry in beginning.sources:
        name = entry.source.name
        if packing.augment and entry.augment:
            return f"{name} augments its pictures"
        index = open_index(entry, beginning.learner.encoder, packing.workers)
        if index is None:
            return f"{name} has no end, or can't be measured before"
        if index.clips.any() and entry.frames is not None:
            return f"{name} draws the frames of its clips anew in every visit"
    return None


def start_weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """All weights by their own names; factors that change nothing yet are left out."""
    fresh = not any(bool(layer.lora_B.any()) for _, layer in lora_linears(model))
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if not (fresh and name.rpartition(".")[2] in FACTORS):
            yield own_name(name), tensor


def _stamp(beginning: Beginning, entry: WeightedSource, weights: str) -> str:
    """All that a source's table follows from."""
    packing, model = beginning.data.packing, beginning.learner.model
    settings = packing.model_dump(include={"max_tokens", "max_tiles", "over_long", "on_fault", "v2pe"})
    parts = (VERSION, weights, model.config.model_dump_json(), beginning.device.type, settings)
    return "\n".join(map(str, (*parts, entry.source.fingerprint(), encoder_stamp(beginning.learner.encoder))))


def _compute(objective: Objective, beginning: Beginning, sources: Sequence[WeightedSource]) -> list[Table]:
    """float64 [records, 2] of each source, NaN where a record gives no sample; every rank has its share."""
    tables = {entry.source.name: np.zeros((entry.source.size or 0, SIDES)) for entry in sources}
    seen = {name: np.zeros(len(table)) for name, table in tables.items()}
    total, done = sum(map(len, tables.values())), 0
    for keys, sums in _passes(objective, beginning, sources):
        for key, row in zip(keys, sums.view(-1, SIDES).cpu().numpy(), strict=True):
            source, _, index = key.rpartition(":")
            tables[source][int(index)], seen[source][int(index)] = row, 1
        done += len(keys) * beginning.mesh.data.world
        beginning.progress("reference", min(done, total), total)
    reshard(beginning.learner.model)
    return [_together(tables[name], seen[name], beginning.mesh.data) for name in tables]


def _together(table: Table, seen: Table, ranks: Ranks) -> Table:
    """The rows of all ranks, each of which has others."""
    table, seen = (add_up(torch.from_numpy(x), ranks).numpy() for x in (table, seen))
    return np.where(seen[:, None] > 0, table, np.nan)


def _passes(
    objective: Objective, beginning: Beginning, sources: Sequence[WeightedSource]
) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Keys of pairs with their log-probabilities, pack after pack; ranks that meet make equally many."""
    mesh, data, learner = beginning.mesh, beginning.data, beginning.learner
    once = data.packing.model_copy(update={"epochs": 1, "augment": False, "seed": 0})
    whole = [replace(entry, repeat=1.0) for entry in sources]
    ranks = mesh.data
    loader = PackLoader(whole, learner.encoder, once, ranks.rank, ranks.world, ranks.world)
    with closing(loader):
        while True:
            try:
                packs = loader.next_step()
            except StopIteration:
                return
            _, work = shared_work(objective, learner.model, packs, mesh, 1)
            for pack, _ in work:
                sums = answer_logprobs(learner.model, pack, beginning.device).sums
                keys = [key for key, own in zip(pack.keys, pack.branches, strict=False) if own]
                if any(keys):
                    yield keys, sums
