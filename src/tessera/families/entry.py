"""One line of the catalogue: a released model, its parts, what was published about it, and what it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from tessera.chat.templates import Template, get_template
from tessera.imaging.grid import Tiling
from tessera.models.accounting import Counted, Stored, bytes_to_load, count_parameters, count_parts
from tessera.models.config import DecoderConfig, ModelConfig, VisionConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

OWNER = "OpenGVLab"
Layout = Literal["official", "transformers"]
Vocabulary = Literal["byte-level BPE", "SentencePiece"]
"""Which kind of tokenizer file stands in the repository."""


@dataclass(frozen=True)
class VisionModel:
    """A released InternViT."""

    name: str
    label: str
    """300M or 6B, as the names of the series say it."""
    config: VisionConfig
    licence: str = "MIT"


@dataclass(frozen=True)
class LanguageModel:
    """A decoder as the series stores it: nine tokens added, output head apart from the embeddings."""

    name: str
    config: DecoderConfig
    image_token: int
    """Id of `<IMG_CONTEXT>`."""
    tokenizer: Vocabulary
    licence: str
    bos: str = ""
    """Token that the tokenizer puts before every prompt."""
    unverified: tuple[str, ...] = ()
    """Fields whose number we could not read in a released file."""

    def varied(self, config: dict[str, Any], **changes: Any) -> Self:
        """The same model with other fields, those of its config in `config`."""
        return replace(self, config=self.config.model_copy(update=config), **changes)


@dataclass(frozen=True)
class Published:
    """Parameters as they were printed, in billions; the digits tell how far the figure was rounded.

    "0.9" means 0.85 to 0.95, "5.54" means 5.535 to 5.545. An empty string was not published.
    """

    total: str
    vision: str = ""
    connector: str = ""
    language: str = ""
    source: str = ""

    def parts(self) -> dict[str, str]:
        """What was printed, by the names of `Entry.parameters`."""
        figures = (self.vision, self.connector, self.language, self.total)
        named = zip(("vision", "connector", "decoder", "total"), figures, strict=True)
        return {name: figure for name, figure in named if figure}


ONE_SQUARE = Tiling(max_tiles=1, thumbnail=False, dynamic=False)
"""How 1.1 and 1.2 take a picture: squeezed into one square."""


@dataclass(frozen=True, kw_only=True)
class Released(ABC):
    """A released model of any kind. `base` and `suffix` make the name: variants of one size differ in their
    weights alone."""

    base: str
    generation: str
    architecture: str
    """Name of the family folder that builds it."""
    model: Counted
    published: Published
    suffix: str = ""
    card_licence: str = ""
    """Licence tag of the repository, where we saw it."""
    weight_files: str = "model-*.safetensors"
    notes: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    """Fields of this entry that we could not read in a released file."""

    @property
    def name(self) -> str:
        """Name of the repository without its owner."""
        return self.base + self.suffix

    @property
    def hub(self) -> str:
        """Repository of the official layout on the hub."""
        return f"{OWNER}/{self.name}"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every field that stays unverified."""
        return self.unverified

    @property
    @abstractmethod
    def kind(self) -> str:
        """What it is for, in a word or two."""

    @property
    @abstractmethod
    def licences(self) -> Mapping[str, str]:
        """Licence of each part."""

    def parameters(self) -> dict[str, int]:
        """Weights by part and `total`."""
        return count_parts(self.model)

    def bytes_to_load(self, kind: Stored = "bf16") -> int:
        """Bytes of the weights in memory; int8 shrinks the matrices of the blocks alone."""
        return bytes_to_load(self.model, kind)


@dataclass(frozen=True, kw_only=True)
class Component(Released):
    """A released model that does not chat."""

    purpose: Literal["vision encoder", "contrastive pair"]
    vision: str
    """Its picture side in a word, for the table: 300M or 6B."""
    language: str = ""
    """Its text side."""
    licence: str = "MIT"
    use: str
    """How it is opened and used: a line of Python or of a shell."""

    @property
    def kind(self) -> str:
        """Its purpose."""
        return self.purpose

    @property
    def licences(self) -> Mapping[str, str]:
        """One for all parts."""
        return {"weights": self.licence}


@dataclass(frozen=True, kw_only=True)
class Entry(Released):
    """A released chat model. Cheap to make; `family()` gives what opens it.

    `vision` and `language` say which parts were put together, `model` what they are made of.
    """

    vision: VisionModel
    language: LanguageModel
    model: ModelConfig
    template: str
    tiling: Tiling = Tiling()
    frame_label: str = "training"
    transformers_repository: str = ""
    """Repository in the layout of transformers, where one is published."""

    @property
    def kind(self) -> str:
        """What all entries are."""
        return "chat model"

    @property
    def licences(self) -> Mapping[str, str]:
        """Of the ViT, with the connector, and of the language model."""
        return {"vision": self.vision.licence, "language_model": self.language.licence}

    @property
    def layouts(self) -> dict[Layout, str]:
        """Published layouts and their repositories."""
        found: dict[Layout, str] = {"official": self.hub}
        if self.transformers_repository:
            found["transformers"] = self.transformers_repository
        return found

    @property
    def doubts(self) -> tuple[str, ...]:
        """Those of the language model as `language.field`."""
        return (*self.unverified, *(f"language.{name}" for name in self.language.unverified))

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of a square."""
        return self.model.tokens_per_tile

    @property
    def squares(self) -> str:
        """Tiles of a picture for a table: "1-12" and a thumbnail, or "1" where it is squeezed into one."""
        return f"1-{self.tiling.max_tiles}" if self.tiling.dynamic else "1"

    @property
    def chat_template(self) -> Template:
        """The template, its family's own or one of all."""
        from tessera.families.registry import get_architecture

        return get_architecture(self.architecture).templates.get(self.template) or get_template(self.template)

    @property
    def picture_tokens(self) -> int:
        """Tokens of a picture that fills the grid: tiles, thumbnail, and what stands around them."""
        tokens = self.chat_template.tokens
        around = bool(tokens.start) + bool(tokens.end)
        return (self.tiling.max_tiles + self.tiling.thumbnail) * self.tokens_per_tile + around

    def parameters(self) -> dict[str, int]:
        """Weights by part: vision, connector, decoder, embeddings (part of decoder) and total."""
        return count_parameters(self.model)

    @property
    def active(self) -> int:
        """Weights that one token meets: all but those of experts that it does not take."""
        return self.parameters()["total"] - self.model.decoder.idle_weights()

    def family(self) -> Family:
        """Everything needed to build the model and to write its prompts."""
        from tessera.families.family import Family

        return Family(
            name=self.name,
            architecture=self.architecture,
            model=self.model,
            tiling=self.tiling,
            template=self.template,
            frame_label=self.frame_label,
        )
