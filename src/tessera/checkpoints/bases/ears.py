"""A whole model that sees with an audio encoder beside it, and an MLP behind that, drawn at random.

How InternOmni began: InternVL2-8B, Whisper-large-v3 and a fresh `mlp2`. The tokens of sounds get rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.added import NewTokens
from tessera.checkpoints.bases.parts import stored_dtype
from tessera.checkpoints.load import open_weights, read_description
from tessera.checkpoints.surgery import part_tensors
from tessera.checkpoints.weights import tensors_of
from tessera.families.family import Family
from tessera.families.hearing import SOUND_TOKENS, audio_in, audio_of, with_ears
from tessera.models.audio_encoder.connector import AudioConnector
from tessera.models.audio_encoder.whisper import AudioEncoder
from tessera.models.initialise import initialise, without_memory
from tessera.runtime.seeds import derive_seed


@dataclass(frozen=True)
class EarsAssembly:
    """A model that can be built: what it is, its tokenizer, and where its weights come from.

    whole: the folder of the model that sees. encoder: that of the audio encoder; None draws it.
    """

    family: Family
    tokenizer: Tokenizer
    whole: Path
    encoder: Path | None

    @classmethod
    def plan(cls, whole: Path, encoder: Path | None, family: str | None) -> EarsAssembly:
        """No weight is read. `family`: a member of the catalogue that hears, whose name the model gets and,
        where no encoder is given, its shape. ValueError for parts that make no model."""
        described = read_description(whole)
        new = NewTokens.plan(described.tokenizer, described.family, SOUND_TOKENS)
        if encoder is None and family is None:
            raise ValueError("audio: a fresh encoder has the shape of a family; name one, such as scale_omni")
        audio = audio_in(encoder) if encoder is not None else audio_of(str(family))
        name = family or f"{described.family.name}+{encoder.name if encoder else 'ears'}"
        return cls(with_ears(new.family, audio, new.tokenizer, name), new.tokenizer, whole, encoder)

    @property
    def dtype(self) -> torch.dtype:
        """That of the model that sees."""
        return stored_dtype(self.whole)

    def tensors(self, seed: int) -> Iterator[tuple[str, torch.Tensor]]:
        """Own names and weights as stored; what is not given is drawn from `seed`."""
        with open_weights(self.whole) as found:
            yield from found.with_tokens(SOUND_TOKENS).tensors()
        hearing = self.family.model.hearing
        assert hearing is not None
        drawn: dict[str, nn.Module] = {
            "audio_connector": AudioConnector(hearing.audio.d_model, self.family.model.decoder.hidden_size)
        }
        if self.encoder is None:
            drawn["audio"] = AudioEncoder(hearing.audio)
        else:
            with without_memory():
                module = AudioEncoder(hearing.audio)
            yield from part_tensors(module, "audio", self.encoder)
        fresh = nn.ModuleDict(drawn)
        initialise(fresh, derive_seed("initialise", seed) % 2**31)
        yield from tensors_of(fresh)
