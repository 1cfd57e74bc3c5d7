"""Settings to sources: the one place that knows which reader belongs to which kind of settings."""

from collections.abc import Sequence

from tessera.records.manifest import DatasetSpec, PlaygroundSource
from tessera.records.readers.playground import PlaygroundReader
from tessera.records.readers.records import RecordReader
from tessera.records.source import WeightedSource


def open_sources(specs: Sequence[DatasetSpec | PlaygroundSource]) -> tuple[WeightedSource, ...]:
    """Readers with their weights, in order. A dataset without a weight has records x repeat_time."""
    return tuple(_open(spec) for spec in specs)


def _open(spec: DatasetSpec | PlaygroundSource) -> WeightedSource:
    if isinstance(spec, PlaygroundSource):
        return WeightedSource(PlaygroundReader(spec), spec.weight)
    reader = RecordReader(spec)
    if not reader.size:
        raise ValueError(f"{spec.name}: {spec.annotation} has no records; remove it or correct the path")
    weight = spec.weight if spec.weight is not None else reader.size * spec.repeat_time
    frames = (spec.min_frames, spec.max_frames) if spec.frame_sampling == "random" else None
    return WeightedSource(
        reader, weight, spec.repeat_time, spec.data_augment, frames=frames, document=spec.pretraining
    )
