"""The sounds of one prompt: which tokens belong to which, and what identifies them."""

from hashlib import blake2b

import numpy as np
import torch

from tessera.audio.mel import LogMel
from tessera.chat.encoder import Encoded
from tessera.models.audio_encoder.config import Hearing


class SoundPlaces:
    """Where the sounds of a prompt stand; their features [tokens, D] while they are not yet through.

    ValueError when placeholders and sounds don't agree, and for sounds where the model does not hear.
    """

    def __init__(self, prompt: Encoded, hearing: Hearing | None) -> None:
        counts = [] if hearing is None else [hearing.audio.tokens(s.frames) for s in prompt.sounds]
        if hearing is None and prompt.sounds:
            raise ValueError("sounds: this model does not hear; leave them out, or open InternOmni")
        found = prompt.ids == (-1 if hearing is None else hearing.token_id)
        self._places = np.flatnonzero(found)
        self._ends = np.cumsum(counts, dtype=np.int64)
        if len(self._places) != sum(counts):
            raise ValueError(
                f"the prompt has {len(self._places)} <AUDIO_CONTEXT> tokens but {len(counts)} sounds of "
                f"{sum(counts)}: encode conversation and sounds in one call"
            )
        self.sounds = prompt.sounds
        self.digests = tuple(map(_digest, prompt.sounds))
        self.features: dict[int, torch.Tensor] = {}

    def of(self, start: int, stop: int) -> range:
        """Sounds to which the tokens `start` to `stop` of the prompt belong."""
        first, last = self._within(start, stop)
        if first == last:
            return range(0)
        return range(self._sound(first), self._sound(last - 1) + 1)

    def features_of(self, start: int, stop: int) -> list[torch.Tensor]:
        """Features of the sounds' tokens among `start` to `stop`, sound by sound; those must be there."""
        first, last = self._within(start, stop)
        pieces = []
        for sound in self.of(start, stop):
            begin = self._begin(sound)
            pieces.append(self.features[sound][max(0, first - begin) : last - begin])
        return pieces

    def content(self, start: int, stop: int) -> bytes:
        """What the tokens `start` to `stop` hear: which sounds, and from where; nothing for none."""
        sounds = self.of(start, stop)
        if not sounds:
            return b""
        offset = self._within(start, stop)[0] - self._begin(sounds[0])
        return offset.to_bytes(8, "little") + b"".join(self.digests[sound] for sound in sounds)

    def forget(self, passed: int) -> None:
        """Drop features of sounds of which no token from `passed` on is left."""
        ahead = self.of(passed, int(self._places[-1]) + 1) if self.features else range(0)
        self.features = {sound: seen for sound, seen in self.features.items() if sound in ahead}

    def _within(self, start: int, stop: int) -> tuple[int, int]:
        """The tokens of sounds among these, counted from the prompt's first."""
        first, last = np.searchsorted(self._places, (start, stop)).tolist()
        return first, last

    def _sound(self, number: int) -> int:
        """The sound of a token of sounds."""
        return int(np.searchsorted(self._ends, number, side="right"))

    def _begin(self, sound: int) -> int:
        return int(self._ends[sound - 1]) if sound else 0


def _digest(sound: LogMel) -> bytes:
    content = sound.values.tobytes() + sound.frames.to_bytes(8, "little")
    return blake2b(content, digest_size=32, person=b"sound").digest()
