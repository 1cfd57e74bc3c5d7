"""From sources to packs: draw, encode (here or in worker processes), pack; with a state that resumes exactly.

Workers only turn draws into samples; the order of draws and all packing decisions are made in the main
process, so the packs don't depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch.utils.data import DataLoader, Dataset

from tessera.data.encode import DrawEncoder, Encoded, SampleEncoder
from tessera.data.faults import DataError, RecordFault
from tessera.data.mix import Draw, Mixer, MixState
from tessera.data.pack import Pack, Packer, Sample, collate
from tessera.data.source import WeightedSource
from tessera.data.weights import Averaging
from tessera.runtime.config import Config

MOST_SKIPPED_IN_A_ROW = 1000
"""Skipping more than this without one good sample means that the data, not a record, is wrong."""


class PackingConfig(Config):
    """How samples are drawn, weighted and packed."""

    max_tokens: int = 4096
    """capacity of a pack in tokens; no sample may be longer"""
    max_tiles: int = 48
    """capacity of a pack in tiles"""
    lookahead: int = 64
    """samples among which the packer chooses"""
    averaging: Averaging = "square"
    """weight of a supervised token in a sample that has n: token 1, sample 1/n, square 1/sqrt(n)"""
    seed: int = 0
    epochs: int | None = None
    """passes over the sources; None repeats them for ever"""
    augment: bool = True
    """JPEG augmentation of the sources that ask for it"""
    on_fault: Literal["error", "skip"] = "error"
    """what to do with a record that can't be used: stop, or leave it out and count it"""
    workers: int = 0
    """processes that encode; 0 encodes in the main process"""
    prefetch: int = 16
    """samples each worker prepares ahead"""


@dataclass
class LoaderStats:
    """What the loader has delivered since its start, and the capacity of those packs."""

    packs: int = 0
    samples: int = 0
    tokens: int = 0
    tiles: int = 0
    trained: int = 0
    skipped: int = 0
    token_capacity: int = 0
    tile_capacity: int = 0

    @property
    def token_fill(self) -> float:
        """Share of the token capacity in use, 0 to 1."""
        return self.tokens / max(self.token_capacity, 1)

    @property
    def tile_fill(self) -> float:
        """Share of the tile capacity in use, 0 to 1."""
        return self.tiles / max(self.tile_capacity, 1)

    def count(self, pack: Pack, config: PackingConfig) -> None:
        """Add one delivered pack."""
        self.packs += 1
        self.samples += len(pack.lengths)
        self.tokens += sum(pack.lengths)
        self.tiles += sum(pack.tiles_per_sample)
        self.trained += sum(pack.trained)
        self.token_capacity += config.max_tokens
        self.tile_capacity += config.max_tiles


@dataclass(frozen=True)
class _Waiting:
    """A sample in the packer's buffer with the draw it came from, which is all the state needs of it."""

    draw: Draw
    sample: Sample

    @property
    def tokens(self) -> int:
        return self.sample.tokens

    @property
    def tile_count(self) -> int:
        return self.sample.tile_count

    @property
    def key(self) -> str:
        return self.sample.key


class _Draws(Dataset[Encoded]):
    """Map-style view for torch's DataLoader: the index is a draw, the item its encoded sample."""

    def __init__(self, encoder: DrawEncoder) -> None:
        self._encoder = encoder

    def __getitem__(self, draw: Any) -> Encoded:
        return self._encoder(draw)


def _unchanged(item: Any) -> Any:
    """Stands in for DataLoader's conversion of arrays to tensors."""
    return item


class PackLoader:
    """An iterator of packs over a mixture of sources.

    `state_dict` names position and buffer by record numbers only; after `load_state_dict` the same packs
    follow, to the byte, whatever the number of workers. Use as a context manager or `close` it to stop
    workers early.
    """

    def __init__(
        self, sources: Sequence[WeightedSource], encoder: SampleEncoder, config: PackingConfig
    ) -> None:
        if config.lookahead < 1 or config.workers < 0 or config.prefetch < 1:
            raise ValueError(
                f"lookahead {config.lookahead}, workers {config.workers}, prefetch {config.prefetch}: "
                "lookahead and prefetch must be at least 1, workers at least 0"
            )
        self.config = config
        self.stats = LoaderStats()
        self.skipped: dict[RecordFault, None] = {}
        self._sources = tuple(sources)
        self._encode = DrawEncoder(self._sources, encoder, config.averaging, config.augment, config.seed)
        self._packer: Packer[_Waiting] = Packer(config.max_tokens, config.max_tiles)
        self._consumed = Mixer(self._sources, config.seed, config.epochs).state
        self._skipped_in_a_row = 0
        self._stream: Iterator[Encoded] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pack:
        self._fill()
        if not self._packer.waiting:
            self.close()
            raise StopIteration
        pack = collate([entry.sample for entry in self._packer.take()])
        self.stats.count(pack, self.config)
        return pack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers; iterating on starts them again at the same place."""
        self._stream = None

    def state_dict(self) -> dict[str, Any]:
        """The position as plain JSON values: draws made, samples waiting, statistics."""
        waiting = [[w.draw.source, w.draw.index, w.draw.visit] for w in self._packer.waiting]
        mix = {"draws": self._consumed.draws, "positions": list(self._consumed.positions)}
        return {"setup": self._setup(), "mix": mix, "waiting": waiting, "stats": asdict(self.stats)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the state was taken. ValueError when sources or packing settings differ."""
        for field, value in self._setup().items():
            if state["setup"].get(field) != value:
                raise ValueError(
                    f"{field}: the saved run had {state['setup'].get(field)}, this one has {value}; "
                    "resume with the same sources and packing, or start a new run"
                )
        self.close()
        self._consumed = MixState(int(state["mix"]["draws"]), tuple(state["mix"]["positions"]))
        self._packer.waiting.clear()
        for source, index, visit in state["waiting"]:
            self._keep(self._encode(Draw(source, index, visit, self._consumed)))
        self.stats = LoaderStats(**state["stats"])

    def _setup(self) -> dict[str, Any]:
        """What must be equal for a state to fit; worker settings may differ."""
        packing = self.config.model_dump(exclude={"workers", "prefetch"})
        names = [[s.source.name, s.source.size, s.weight, s.repeat, s.augment] for s in self._sources]
        return {**packing, "sources": names}

    def _fill(self) -> None:
        """Draw until the look-ahead buffer is full or the sources are used up."""
        if self._stream is None:
            self._stream = self._open_stream()
        while len(self._packer.waiting) < self.config.lookahead:
            encoded = next(self._stream, None)
            if encoded is None:
                return
            self._consumed = encoded.draw.after
            self._keep(encoded)

    def _keep(self, encoded: Encoded) -> None:
        """Put a sample into the buffer, or treat its faults as the policy says."""
        faults = encoded.faults
        if encoded.sample is not None:
            waiting = _Waiting(encoded.draw, encoded.sample)
            if self._packer.fits(waiting):
                self._skipped_in_a_row = 0
                return self._packer.add(waiting)
            faults = (self._encode.too_long(waiting.draw, waiting.sample, self._packer),)
        self._skipped_in_a_row += 1
        if self.config.on_fault == "error" or self._skipped_in_a_row > MOST_SKIPPED_IN_A_ROW:
            raise DataError(faults)
        self.stats.skipped += 1
        self.skipped.update(dict.fromkeys(faults))

    def _open_stream(self) -> Iterator[Encoded]:
        """Encoded draws in order from the current position, from workers when there are any."""
        mixer = Mixer(self._sources, self.config.seed, self.config.epochs)
        mixer.state = self._consumed
        if not self.config.workers:
            return map(self._encode, mixer)
        return iter(
            DataLoader(
                _Draws(self._encode),
                batch_size=None,
                sampler=mixer,
                num_workers=self.config.workers,
                prefetch_factor=self.config.prefetch,
                collate_fn=_unchanged,
                # Its own generator: the default would advance torch's global one and change the run.
                generator=torch.Generator(),
            )
        )
