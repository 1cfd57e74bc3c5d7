"""Sounds in prompts: how many placeholders one has, by its header alone, and the spectrogram behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tessera.audio.container import sound_error
from tessera.audio.decode import RATE, read_sound, sound_length
from tessera.audio.mel import HOP, LogMel, log_mel
from tessera.chat.message import Audio

DEAF = "audio: this model does not hear; open one that does (InternOmni), or leave the sounds out"


@dataclass(frozen=True)
class SoundRule:
    """What a model says of sounds: mel bands, columns of the longest, and how many tokens columns make."""

    bands: int
    most_frames: int
    count: Callable[[int], int]

    def tokens(self, part: Audio) -> int:
        """Placeholders of a sound; decodes nothing. ValueError for one too long, too short or unreadable."""
        return self._counted(part, sound_length(part.source, part.start, part.end))

    def spectrogram(self, part: Audio) -> LogMel:
        """What the model hears; raises as `tokens` does."""
        self.tokens(part)
        return log_mel(read_sound(part.source, part.start, part.end), self.bands, self.most_frames)

    def _counted(self, part: Audio, samples: int) -> int:
        most = self.most_frames * HOP
        if samples > most:
            what = f"{samples / RATE:.2f} s, this model hears at most {most / RATE:g} s at once"
            remedy = "bound it with start and end, or give it in pieces"
            raise sound_error(part.source, f"{what}; {remedy}", "huge")
        tokens = self.count(samples // HOP)
        if not tokens:
            what = f"{samples / RATE:.3f} s are too short to become a token"
            raise sound_error(part.source, f"{what}; give a longer one")
        return tokens


def required(rule: SoundRule | None) -> SoundRule:
    """The rule; ValueError for a model that does not hear."""
    if rule is None:
        raise ValueError(DEAF)
    return rule
