"""Features of the sounds in a step: each content goes through the audio encoder once."""

from collections.abc import Iterable

import torch

from tessera.engine.core.pictures import PictureCache
from tessera.engine.core.sequence import Sequence
from tessera.models.vlm import VLM


def hear(model: VLM, spans: Iterable[tuple[Sequence, int, int]], kept: PictureCache) -> torch.Tensor | None:
    """Features [M, D] of the stream's tokens of sounds, in order; None without.

    spans: sequences with the half-open ranges of their tokens. What was heard stays with the sequence until
    it is through, and in `kept`.
    """
    hearing = model.config.hearing
    if hearing is None:
        return None
    spans = list(spans)
    missing: dict[bytes, list[tuple[Sequence, int]]] = {}
    for sequence, start, stop in spans:
        places = sequence.sounds
        for sound in places.of(start, stop):
            digest = places.digests[sound]
            if sound in places.features:
                continue
            found = None if digest in missing else kept.find(digest)
            if found is None:
                missing.setdefault(digest, []).append((sequence, sound))
            else:
                places.features[sound] = found
    if missing:
        wanted = [wanting[0][0].sounds.sounds[wanting[0][1]] for wanting in missing.values()]
        counts = [hearing.audio.tokens(sound.frames) for sound in wanted]
        heard = model.hear(wanted).split(counts)
        for (digest, wanting), features in zip(missing.items(), heard, strict=True):
            own = features.clone()  # else one sound would keep the memory of all that were heard with it
            kept.keep(digest, own)
            for sequence, sound in wanting:
                sequence.sounds.features[sound] = own
    pieces = [piece for span in spans for piece in span[0].sounds.features_of(*span[1:])]
    return torch.cat(pieces) if pieces else None
