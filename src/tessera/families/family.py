"""What makes a member of a family: the model, how pictures are cut and how conversations are written."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializeAsAny, ValidationInfo, field_validator, model_validator

from tessera.chat.encoder import Encoder
from tessera.chat.positions import require_increment
from tessera.chat.sounds.rule import SoundRule
from tessera.chat.templates import Template, get_template
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.content import ContentTokens
from tessera.chat.tokens import NO_SLOTS, LinkSlots
from tessera.families.architecture import Architecture
from tessera.families.registry import FIRST, get_architecture
from tessera.imaging.grid import Tiling
from tessera.models.config import ModelConfig
from tessera.models.links.config import LinkConfig
from tessera.runtime.config import Config
from tessera.runtime.shown import shown


class Family(Config):
    """One member. Pixel normalisation is part of `model` (mean and std), because the model applies it."""

    name: str
    architecture: str = FIRST
    """Name of the family folder that declares config, key tables and templates."""
    model: SerializeAsAny[ModelConfig]
    tiling: Tiling
    template: str
    """Name of a conversation template, the architecture's own or one of `tessera.chat.templates`."""
    frame_label: str = "training"
    """Words before a video frame: a name of `tessera.chat.frame_labels.FRAME_LABELS`, or a pattern."""
    system_text: str | None = None
    """None takes the template's own, "" an empty one."""
    frames: int = 8
    """Frames taken from a clip that does not say how many."""
    content_tokens: ContentTokens = "added"
    """Special strings that questions and answers may hold as tokens: added, all, or a list of names."""
    visual_increment: float = 1.0
    """Step of position from a visual token to the next with which the model is best asked (V2PE)."""
    links: LinkConfig | None = None
    """Tokens of answers that hand states to other decoders (docs/link.md)."""

    @field_validator("model", mode="before")
    @classmethod
    def _model_of_the_architecture(cls, value: Any, info: ValidationInfo) -> Any:
        """Plain values, as files hold them, become the config class that the architecture declares."""
        if isinstance(value, ModelConfig) or "architecture" not in info.data:
            return value
        return get_architecture(info.data["architecture"]).config.model_validate(value)

    @field_validator("visual_increment")
    @classmethod
    def _trained_increment(cls, value: float) -> float:
        return require_increment(value)

    @model_validator(mode="after")
    def _known_template(self) -> Family:
        """Looking a name up raises for what is none."""
        _ = self.chat_template
        return self

    @property
    def declaration(self) -> Architecture:
        """What the family folder declares."""
        return get_architecture(self.architecture)

    @property
    def chat_template(self) -> Template:
        """The template, looked up in the architecture first."""
        return self.declaration.templates.get(self.template) or get_template(self.template)

    def encoder(
        self, tokenizer: Tokenizer, resize: Literal["exact", "fast"] = "exact", trust_text: bool = False
    ) -> Encoder:
        """The encoder that writes conversations as this member was trained to read them."""
        if self.tiling.tile_side != self.model.tile_side:
            raise ValueError(
                f"tiling.tile_side = {self.tiling.tile_side} but the ViT of {self.name} was trained at "
                f"{self.model.tile_side} px: make them equal, tokens per tile follow from the latter"
            )
        return Encoder(
            tokenizer,
            self.chat_template,
            self.tiling,
            self.model.tokens_per_tile,
            self.frame_label,
            self.system_text,
            self.frames,
            resize=resize,
            trust_text=trust_text,
            content_tokens=self.content_tokens,
            hearing=self._sound_rule,
            slots=self.slots(tokenizer),
        )

    def slots(self, tokenizer: Tokenizer) -> LinkSlots:
        """What stands behind its link tokens. ValueError for one that the tokenizer lacks."""
        if self.links is None:
            return NO_SLOTS
        for link in self.links.tokens:
            if not tokenizer.has_token(link.token):
                raise ValueError(
                    f"links: {shown(link.token)} is no token of the tokenizer; add it (start.add_tokens, "
                    "`tessera convert --add-tokens`), or open the tokenizer that was saved with the links"
                )
        counts = tuple((tokenizer.token_id(link.token), link.queries) for link in self.links.tokens)
        return LinkSlots(self.model.decoder.vocab_size, counts)

    @property
    def _sound_rule(self) -> SoundRule | None:
        """How sounds are written; the model's own function counts their tokens."""
        if (hearing := self.model.hearing) is None:
            return None
        audio = hearing.audio
        return SoundRule(audio.num_mel_bins, audio.most_frames, audio.tokens)

    def fitted(self, tokenizer: Tokenizer) -> Family:
        """This member with the vocabulary size and the ids of the placeholders of a tokenizer."""
        decoder = self.model.decoder.model_copy(update={"vocab_size": tokenizer.vocab_size})
        tokens = self.chat_template.tokens
        ids = {"image_token_id": tokenizer.token_id(tokens.context)}
        if tokens.sound is not None:
            ids["audio_token_id"] = tokenizer.token_id(tokens.sound.context)
        model = self.model.model_copy(update={"decoder": decoder, **ids})
        return self.model_copy(update={"model": model})
