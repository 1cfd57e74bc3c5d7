"""Vision encoder, connector and decoder as one module that maps tensors to tensors."""

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import nn

from tessera.models.audio_encoder.connector import AudioConnector
from tessera.models.audio_encoder.whisper import AudioEncoder, Heard
from tessera.models.config import ModelConfig
from tessera.models.decoder import Decoder
from tessera.models.fusion import SOUND, fuse
from tessera.models.links.parts import LinkParts
from tessera.models.vision.encoder import TileEncoder
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Layout

PATCHES_AT_ONCE = 2**16
PATCHES_AT_ONCE_ON_CPU = 2**11
"""Patches that go through the ViT together in inference: 64 and 2 tiles. More are no faster."""
SOUNDS_AT_ONCE = 16
"""Sounds that go through the audio encoder together where it is not trained."""


class VLM(nn.Module):
    """The whole model, of the parts that its config builds: parameter names start with theirs."""

    vision: TileEncoder
    connector: nn.Module
    decoder: Decoder
    audio: AudioEncoder
    audio_connector: AudioConnector
    """These two of models that hear."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.links: LinkParts | None = None
        """What reads link tokens, where the model has any."""
        for name, part in config.build_parts().items():
            self.add_module(name, part)

    patches_at_once: int | None = None
    """Patches that go through the ViT together without gradients; None goes by the device."""

    recall: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Gives what `look` would give, from a store; None computes it."""

    def see(self, tiles: torch.Tensor) -> torch.Tensor:
        """uint8 tiles [N, S, S, 3], on any device, to visual features [N, tokens_per_tile, D] where the
        connector lies."""
        return self.connect((self.recall or self.look)(tiles))

    def look(self, tiles: torch.Tensor) -> torch.Tensor:
        """uint8 tiles [N, S, S, 3] to the ViT's states [N, P, D_vision]. Without gradients, or when the whole
        ViT is frozen, few tiles go through at a time and nothing is kept, which bounds the memory."""
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.vision.parameters()):
            return self._look(tiles)
        on_cpu = self.vision.like.device.type == "cpu"
        at_once = self.patches_at_once or (PATCHES_AT_ONCE_ON_CPU if on_cpu else PATCHES_AT_ONCE)
        with torch.no_grad():
            return torch.cat([self._look(p) for p in tiles.split(max(1, at_once // self.vision.patches))])

    def connect(self, states: torch.Tensor) -> torch.Tensor:
        """The ViT's states [N, P, D_vision], on any device, to visual features [N, tokens_per_tile, D]."""
        # Packed and quantised linears have buffers for parameters.
        place = next(chain(self.connector.parameters(), self.connector.buffers())).device
        features: torch.Tensor = self.connector(states.to(place))
        return features

    def hear(self, sounds: Sequence[Heard]) -> torch.Tensor:
        """Spectrograms, at least one, to features [M, D] end to end where `audio_connector` lies. Where the
        encoder is not trained few go through it at a time and nothing is kept. ValueError without ears."""
        if self.config.hearing is None:
            raise ValueError("sounds: this model does not hear; open one that does, such as InternOmni")
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.audio.parameters()):
            tokens = self.audio.listen(sounds)
        else:
            each = [sounds[i : i + SOUNDS_AT_ONCE] for i in range(0, len(sounds), SOUNDS_AT_ONCE)]
            with torch.no_grad():
                tokens = torch.cat([self.audio.listen(some) for some in each])
        features: torch.Tensor = self.audio_connector(tokens.to(self.audio_connector.norm.weight.device))
        return features

    def _look(self, tiles: torch.Tensor) -> torch.Tensor:
        like, config = self.vision.like, self.config
        pixels = normalise(tiles.to(like.device), config.mean, config.std, like.dtype)
        return self.vision.encode(pixels)

    def _nothing(self, tiles: torch.Tensor) -> torch.Tensor:
        """A zero that has been through ViT and connector; what is drawn later is as if it had not."""
        device = self.vision.like.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            return 0.0 * self.see(tiles).sum()

    def embed(
        self,
        ids: torch.Tensor,
        tiles: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
        spare: torch.Tensor | None = None,
        sounds: Sequence[Heard] = (),
        heard: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Ids int64 [T] and uint8 tiles [N, S, S, 3] (or features [N, tokens, D] seen before) to [T, D].

        `sounds` are spectrograms, `heard` features [M, D] of some that were heard before.

        `spare` tiles pass through ViT and connector and change nothing: behind others they fill a pack up to
        a fixed shape, and where parts are spread over processes, one without pictures takes part like that.
        ViT, connector and embeddings may lie on three devices; the result lies where the embeddings do.
        """
        if features is None and tiles is not None and len(tiles):
            together = tiles if spare is None else torch.cat((tiles, spare))
            features, spare = self.see(together)[: len(tiles)], None
        links = self.links
        embeddings = self.decoder.embed(ids) if links is None else links.embed(self.decoder.embed, ids)
        if spare is not None:
            embeddings = embeddings + self._nothing(spare).to(embeddings)
        flat = embeddings.new_zeros(0, embeddings.shape[-1]) if features is None else features.flatten(0, 1)
        embeddings = fuse(embeddings, ids, flat.to(embeddings.device), self.config.image_token_id)
        return self._with_sounds(embeddings, ids, self.hear(sounds) if sounds else heard)

    def _trained_connector(self) -> nn.Module | None:
        """The connector of sounds, where a stage trains it."""
        connector = self.get_submodule("audio_connector")
        return connector if any(p.requires_grad for p in connector.parameters()) else None

    def _with_sounds(
        self, embeddings: torch.Tensor, ids: torch.Tensor, heard: torch.Tensor | None
    ) -> torch.Tensor:
        hearing = self.config.hearing
        if hearing is None:
            return embeddings
        if heard is None:
            heard = embeddings.new_zeros(0, embeddings.shape[-1])
            if torch.is_grad_enabled() and (trained := self._trained_connector()) is not None:
                # A pack without sounds gives a connector that is trained alone a gradient, too: zeros.
                silence = trained(next(trained.parameters()).new_zeros(1, hearing.audio.d_model))
                embeddings = embeddings + (0.0 * silence.sum()).to(embeddings)
        return fuse(embeddings, ids, heard.to(embeddings.device), hearing.token_id, SOUND)

    def forward(
        self,
        ids: torch.Tensor,
        layout: Layout,
        positions: torch.Tensor | None = None,
        tiles: torch.Tensor | None = None,
        cache: KVCache | None = None,
        features: torch.Tensor | None = None,
        rows: torch.Tensor | None = None,
        spare: torch.Tensor | None = None,
        reach: torch.Tensor | None = None,
        sounds: Sequence[Heard] = (),
        heard: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The stream's final hidden states [T, D], or of `rows` int64 [R] alone; `logits` scores them.

        Parts and blocks may lie on several devices (`Decoder.forward`); inputs may come from any."""
        embeddings = self.embed(ids, tiles, features, spare, sounds, heard)
        visual = ids == self.config.image_token_id if self.decoder.routes else None
        hidden: torch.Tensor = self.decoder(embeddings, layout, positions, cache, rows, reach, visual)
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., D] to [..., V]."""
        return self.decoder.logits(hidden)


def normalise(
    tiles: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype
) -> torch.Tensor:
    """uint8 [N, S, S, 3] to pixels [N, 3, S, S]: (value / 255 - mean) / std in float32, then cast."""
    if tiles.dtype != torch.uint8 or tiles.dim() != 4 or tiles.shape[-1] != 3:
        raise ValueError(f"tiles {tiles.dtype} {tuple(tiles.shape)}: expected uint8 [N, S, S, 3]")
    centre = torch.tensor(mean, device=tiles.device)
    spread = torch.tensor(std, device=tiles.device)
    scaled = (tiles.float() / 255 - centre) / spread
    return scaled.permute(0, 3, 1, 2).to(dtype)
