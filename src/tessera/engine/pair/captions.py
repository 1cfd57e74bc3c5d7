"""Pictures to words: queries read the picture, the prompt sees the queries, beams go on from there.

Keys and values of queries and prompt are kept once a picture; every later token has a page of its own, so
that a beam which forks is a list of pages that is copied, and no key is moved.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from tessera.engine.pair.beam import BeamConfig, Beams, Finished
from tessera.models.pair.pair import QllamaPair
from tessera.models.pair.qllama import Sight
from tessera.models.pair.streams import mixed
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged

Pages = tuple[int, ...]


def caption_states(
    model: QllamaPair, states: torch.Tensor, prompt: list[int], config: BeamConfig, eos: int
) -> list[Finished]:
    """The best caption of each picture's ViT states [N, P, D] behind the prompt's ids."""
    count, queries = len(states), model.config.num_query_token
    kept = queries + len(prompt)
    cache = _cache(model, count * (kept + config.beams * config.max_new_tokens))
    layout = mixed(queries, range(count), ["generation"] * count, [len(prompt)] * count)
    free = iter(range(len(cache.keys[0])))
    pages = tuple(tuple(next(free) for _ in range(length)) for length in layout.lengths)
    ids = torch.tensor(prompt * count)
    stream = torch.cat((model.queries(count), model.qllama.embed(ids)))
    sight = Sight(states, count, queries)
    hidden = model.qllama(stream, replace(layout, pages=pages), sight, cache)
    last = layout.ends(hidden.device)[count:]
    logits = model.qllama.logits(hidden[last]).repeat_interleave(config.beams, 0)
    tables = [pages[n] + pages[count + n] for n in range(count) for _ in range(config.beams)]
    beams = Beams(count, config, eos)
    while True:
        rows, tokens = beams.step(logits)
        if beams.done:
            return beams.best()
        tables = [(*tables[row], next(free)) for row in rows.tolist()]
        newest = Paged((1,) * len(tables), (len(tables[0]) - 1,) * len(tables), tuple(tables))
        logits = model.qllama.logits(model.qllama(model.qllama.embed(tokens), newest, None, cache))


def _cache(model: QllamaPair, pages: int) -> KVCache:
    """Room for so many tokens, a page each."""
    text, like = model.config.qllama, model.query_tokens
    return KVCache(
        text.num_hidden_layers,
        pages,
        1,
        text.num_key_value_heads,
        text.head_width,
        like.dtype,
        like.device,
    )
