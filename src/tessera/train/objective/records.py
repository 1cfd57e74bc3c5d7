"""Records of a stage, for every objective that learns from packs: checked, measured, counted."""

from tessera.chat.encoder import Encoder
from tessera.curation.check import check_sources
from tessera.packing.index import open_index
from tessera.records.manifest import PlaygroundSource
from tessera.records.open import open_sources
from tessera.runtime.progress import Progress, silent
from tessera.train.objective.contract import Checked, Sources, StageData


def check_records(data: StageData, encoder: Encoder, progress: Progress = silent) -> Checked:
    """Every record of every source. Raises DataError with all faults."""
    specs = [
        spec
        for source in data.sources
        for spec in ((source,) if isinstance(source, PlaygroundSource) else source.read())
    ]
    checked, report = check_sources(open_sources(specs), encoder, data.packing, progress)
    for entry in checked:  # once here, with a bar; the loader finds it in the cache
        open_index(entry, encoder, data.packing.workers, progress)
    return checked, report


def packs_per_pass(data: StageData, encoder: Encoder, sources: Sources) -> float:
    """Packs that the tokens and tiles of all records fill; clips count with the mean of their frames.

    ValueError for a source without an end."""
    tokens = tiles = 0.0
    for entry in sources:
        index = open_index(entry, encoder, data.packing.workers)
        if index is None:
            raise ValueError(
                f"stage {data.name!r}: epochs can't be counted, for {entry.source.name} has no end, or "
                "no lengths that are known before; give steps alone"
            )
        clips = int(index.clips.sum())
        frames = sum(entry.frames) // 2 if clips and entry.frames else 1
        tokens += entry.repeat * (int(index.tokens.sum()) + clips * int(index.frame_tokens[frames]))
        tiles += entry.repeat * (int(index.tiles.sum()) + clips * (frames - 1))
    return max(tokens / data.packing.max_tokens, tiles / max(1, data.packing.max_tiles))
