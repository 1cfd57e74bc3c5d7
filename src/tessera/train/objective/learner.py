"""The model of a run with all that reads for it and saves it, and where first weights come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import field_validator
from torch import nn

from tessera.chat.encoder import Encoder
from tessera.chat.positions import require_increment
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.chat.tokenizer.content import ContentTokens
from tessera.checkpoints.added import NewTokens
from tessera.checkpoints.fill import fill
from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import empty_model, load_checkpoint
from tessera.checkpoints.save import write_checkpoint
from tessera.checkpoints.shipped import Shipped, shipped_folder
from tessera.checkpoints.surgery import load_part
from tessera.checkpoints.weights import tensors_of
from tessera.families.catalogue import fresh
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.runtime.config import Config
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Tensors


class Start(Config):
    """Where the weights come from: a checkpoint folder, or parts laid over a fresh model."""

    family: str = "scale_model"
    """Name in the catalogue; decides the architecture of a fresh model."""
    checkpoint: str | None = None
    """A whole model: a folder, a name as `chat --model` takes it, or "shipped" for the one in the package."""
    vision: str | None = None
    """Folder with a ViT; "shipped" is the pretrained one in the package."""
    decoder: str | None = None
    """Folder with a decoder; "shipped" likewise."""
    add_tokens: tuple[str, ...] = ()
    """New special tokens, such as "<loc>": each gets a row in embedding and head, for stages to train."""
    content_tokens: ContentTokens | None = None
    """Special strings that records may hold as tokens: added, all, or names; None as the model says."""
    visual_increment: float | None = None
    """V2PE: the increment that the saved model remembers for its answers; None as the model says."""

    @field_validator("visual_increment")
    @classmethod
    def _trained_increment(cls, value: float | None) -> float | None:
        return value if value is None else require_increment(value)

    @property
    def said(self) -> dict[str, Any]:
        """Fields of the family that are given here."""
        given = {"content_tokens": self.content_tokens, "visual_increment": self.visual_increment}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class ChatLearner:
    """A whole model with the tokenizer and the encoder that belong to it."""

    model: VLM
    tokenizer: Tokenizer
    encoder: Encoder
    family: Family

    @classmethod
    def start(cls, start: Start, seed: int) -> Self:
        """A checkpoint in its own dtype, or a fresh model in float32 with parts laid over it; `seed` is the
        recipe's."""
        if start.checkpoint:
            folder = _folder(start.checkpoint, "model")
            loaded = load_checkpoint(folder, add_tokens=start.add_tokens)
            loaded = loaded.with_settings(**start.said)
            return cls(loaded.model, loaded.tokenizer, loaded.encoder, loaded.family)
        family, tokenizer = fresh_family(start)
        model = VLM(family.model)
        first_weights(model, start, seed)
        if start.add_tokens:
            new = NewTokens.plan(tokenizer, family, start.add_tokens)
            family, tokenizer, wide = new.family, new.tokenizer, empty_model(new.family)
            fill(wide, new.widened(tensors_of(model)))
            model = wide
        family = family.model_copy(update=start.said)
        encoder = family.encoder(tokenizer)
        return cls(model, encoder.tokenizer, encoder, family)

    def save(self, folder: Path, card: dict[str, object], tensors: Tensors) -> None:
        """The whole model in Tessera's own layout; `tensors` are its weights by their own names."""
        write_checkpoint(folder, tensors, self.family, self.tokenizer, "tessera", card)


def fresh_family(start: Start) -> tuple[Family, Tokenizer]:
    """The architecture of a model made from nothing, fitted to the shipped tokenizer."""
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    return fresh(start.family, tokenizer), tokenizer


def first_weights(model: nn.Module, start: Start, seed: int) -> None:
    """Fill a fresh model in place: at random from `seed`, then with the parts that `start` names."""
    initialise(model, derive_seed("initialise", seed) % 2**31)
    if start.vision:
        load_part(model, "vision", _folder(start.vision, "vision"))
    if start.decoder:
        load_part(model, "decoder", _folder(start.decoder, "decoder"))


def _folder(given: str, what: Shipped) -> Path:
    return shipped_folder(what) if given == "shipped" else find_checkpoint(given)
