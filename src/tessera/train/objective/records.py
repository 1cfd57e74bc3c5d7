"""Records of a stage, for every objective that learns from packs: checked, measured, counted."""

from collections.abc import Sequence

from tessera.chat.encoder import Encoder
from tessera.curation.check import check_sources
from tessera.packing.index import open_index
from tessera.packing.shares import Groups, weigh_by_tokens
from tessera.records.manifest import PlaygroundSource
from tessera.records.open import open_sources
from tessera.runtime.progress import Progress, silent
from tessera.runtime.shown import shown
from tessera.train.objective.contract import Checked, Sources, StageData


def check_records(
    data: StageData, encoder: Encoder, progress: Progress = silent, pairs: bool | None = None
) -> Checked:
    """Every record of every source. Raises DataError with all faults.

    pairs: all records must have two answers, or none may; None takes both.
    """
    if pairs and any(isinstance(source, PlaygroundSource) for source in data.sources):
        raise ValueError(
            f"stage {data.name!r}: drawn pictures come with one answer each, and pairs have two; give a "
            "manifest of pairs, or take the objective 'conversation'"
        )
    groups = [(source,) if isinstance(source, PlaygroundSource) else source.read() for source in data.sources]
    opened = open_sources([spec for group in groups for spec in group])
    checked, report = check_sources(opened, encoder, data.packing, progress, pairs=pairs)
    for entry in checked:  # once here, with a bar; the loader finds it in the cache
        open_index(entry, encoder, data.packing.workers, progress)
    shares = [source.token_share for source in data.sources]
    if any(shares):
        names = [{spec.name for spec in group} for group in groups]
        checked = weigh_by_tokens(checked, _whole(data, shares, names), encoder, data.packing)
    return checked, report


def _whole(data: StageData, shares: Sequence[float | None], names: Sequence[set[str]]) -> Groups:
    """Shares with the names that they are for; ValueError where a source has none."""
    pairs = list(zip(shares, names, strict=True))
    if missing := [min(group) for share, group in pairs if share is None]:
        raise ValueError(
            f"stage {data.name!r}: token_share is missing for the source with {shown(missing[0])}, others "
            "have one; give it to all or to none"
        )
    return [(share, group) for share, group in pairs if share is not None]


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
