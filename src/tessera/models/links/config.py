"""What is declared of link tokens: names, learned queries, the width that is handed on, and who takes it."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from tessera.runtime.config import Config
from tessera.runtime.shown import shown

MASKS = "masks"
"""Name of the decoder that comes along."""


class LinkToken(Config):
    """A token of answers, behind which learned queries go through the model."""

    token: str = Field(min_length=1, max_length=64)
    """Its name in the tokenizer, such as "[SEG]"."""
    queries: int = Field(default=4, ge=1, le=1024)
    """Learned queries behind it; VisionLLM v2 has 4 for places and 64 for pictures (docs/facts/links.md)."""
    width: int = Field(gt=0)
    """Channels to which their last states are projected for the decoder."""
    decoder: str = Field(min_length=1)
    """Name of the decoder that takes them."""


class MaskDecoderConfig(Config):
    """A small mask decoder over the ViT's patch features."""

    width: int = Field(default=96, gt=0)
    heads: int = Field(default=4, gt=0)
    layers: int = Field(default=2, gt=0)
    """Blocks of two-way attention."""
    scale: int = Field(default=4, ge=1, le=16)
    """Pixels of a mask along one side of a patch, a power of two."""

    @model_validator(mode="after")
    def _fitting(self) -> MaskDecoderConfig:
        if self.width % (4 * self.heads):
            raise ValueError(
                f"width = {self.width}: it must be a multiple of 4 x {self.heads} heads; change one of them"
            )
        if self.scale & (self.scale - 1):
            raise ValueError(f"scale = {self.scale}: give 1, 2, 4, 8 or 16")
        return self


class LinkConfig(Config):
    """All link tokens of a model, and the mask decoder where one of them is for it."""

    tokens: tuple[LinkToken, ...] = Field(min_length=1)
    masks: MaskDecoderConfig | None = None

    @field_validator("tokens")
    @classmethod
    def _told_apart(cls, tokens: tuple[LinkToken, ...]) -> tuple[LinkToken, ...]:
        names = [link.token for link in tokens]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{shown(twice)} is declared twice; leave one out")
        return tokens

    @model_validator(mode="after")
    def _taken(self) -> LinkConfig:
        takers = [link for link in self.tokens if link.decoder == MASKS]
        if self.masks is None:
            return self
        if not takers:
            raise ValueError(f"masks: no token names the decoder {MASKS!r}; let one, or leave masks out")
        for link in takers:
            if link.width != self.masks.width:
                raise ValueError(
                    f"tokens: {shown(link.token)} has width {link.width}, the mask decoder takes "
                    f"{self.masks.width}; make them equal"
                )
        return self

    @property
    def queries(self) -> int:
        """Learned queries of all tokens."""
        return sum(link.queries for link in self.tokens)

    @property
    def label(self) -> str:
        """Tokens and decoders in a few words."""
        return ", ".join(f"{link.token} to {link.decoder}" for link in self.tokens)


SEGMENTING = LinkConfig(
    tokens=(LinkToken(token="[SEG]", queries=4, width=96, decoder=MASKS),), masks=MaskDecoderConfig()
)
"""One token for masks, with the decoder that comes along."""
