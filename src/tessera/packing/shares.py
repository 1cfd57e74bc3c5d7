"""Shares by tokens: how often a source is drawn so that groups of sources give the tokens that are wanted.

A draw gives a record, and records differ in length: with equal draws of captions and long documents most
tokens are of documents. Draws weighted by share / mean tokens of a record give the shares asked for, in the
mean, and the mixture stays what it is: a pure function of seed and number of the draw.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from tessera.packing.config import PackingConfig
from tessera.packing.index import FAULTY, SourceIndex, open_index
from tessera.packing.samples.encode import SampleEncoder, encoder_of
from tessera.records.source import WeightedSource

PROBED = 128
"""First records by which a source without an index is judged."""
Groups = Sequence[tuple[float, Collection[str]]]
"""Share of the tokens, of any sum, and the names of the sources that give it together."""


def weigh_by_tokens(
    sources: Iterable[WeightedSource], groups: Groups, encoder: SampleEncoder, config: PackingConfig
) -> tuple[WeightedSource, ...]:
    """The sources with other weights; within a group they keep their relation.

    Every source is in one group. ValueError for sources that end (`epochs`), and for a group without tokens.
    """
    sources = tuple(sources)
    if config.epochs is not None:
        raise ValueError(
            f"token_share: with packing.epochs = {config.epochs} every source gives all its records, "
            "whatever its share; leave packing.epochs out, or the shares"
        )
    lengths = {entry.source.name: mean_tokens(entry, encoder, config) for entry in sources}
    factors: dict[str, float] = {}
    for share, names in groups:
        own = [entry for entry in sources if entry.source.name in names]
        tokens = sum(entry.weight * lengths[entry.source.name] for entry in own)
        if own and not tokens:
            raise ValueError(f"token_share: {own[0].source.name}: no record fits a pack; see over_long")
        factors |= {entry.source.name: share / tokens for entry in own}
    return tuple(replace(entry, weight=entry.weight * factors[entry.source.name]) for entry in sources)


def mean_tokens(entry: WeightedSource, encoder: SampleEncoder, config: PackingConfig) -> float:
    """Tokens that a draw of a source gives in the mean, by its index or else by its first records."""
    index = open_index(entry, encoder, config.workers)
    if index is not None:
        return _of_index(index, entry, config)
    own, size = encoder_of(entry, encoder), entry.source.size
    counts = range(PROBED if size is None else min(size, PROBED))
    found = [own.measure(entry.source.conversation(number)) for number in counts]
    tokens = [_kept(each.tokens, each.tiles, config) for each in found]
    return float(np.mean(tokens))


def _of_index(index: SourceIndex, entry: WeightedSource, config: PackingConfig) -> float:
    """Clips count with the mean of the frames that a visit draws."""
    clips = index.clips.astype(np.int64)
    frames = sum(entry.frames) // 2 if clips.any() and entry.frames else 1
    tokens = index.tokens + clips * int(index.frame_tokens[frames])
    tiles = index.tiles + clips * (frames - 1)
    kept = [_kept(*sizes, config) for sizes in zip(tokens.tolist(), tiles.tolist(), strict=True)]
    return float(np.mean(np.where(index.flags & FAULTY, 0, kept)))


def _kept(tokens: int, tiles: int, config: PackingConfig) -> int:
    """What the over-long policy leaves of a record, about."""
    if tokens <= config.max_tokens and tiles <= config.max_tiles:
        return tokens
    return {"split": tokens, "fewer_tiles": min(tokens, config.max_tokens)}.get(config.over_long, 0)
