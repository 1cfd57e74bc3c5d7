"""One line of the catalogue: a released model, its parts, what was published about it, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tessera.families.parts import LanguageModel, VisionModel, Weights, connector_weights

if TYPE_CHECKING:
    from tessera.families.family import Family

OWNER = "OpenGVLab"
Layout = Literal["official", "transformers"]


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
        named = {
            "vision": self.vision,
            "connector": self.connector,
            "decoder": self.language,
            "total": self.total,
        }
        return {name: figure for name, figure in named.items() if figure}

    @staticmethod
    def fits(figure: str, count: int) -> bool:
        """Whether a count lies within 1 % of a printed figure, or rounds to it."""
        decimals = len(figure.partition(".")[2])
        return abs(count / 1e9 - float(figure)) <= max(0.01 * float(figure), 0.5 * 10**-decimals)


@dataclass(frozen=True)
class Tiles:
    """How a picture is cut into squares; `most` counts the grid, the thumbnail comes on top."""

    most: int = 12
    dynamic: bool = True

    @property
    def label(self) -> str:
        """For a table: "1-12", or "1" where every picture becomes one square."""
        return f"1-{self.most}" if self.dynamic else "1"


ONE_SQUARE = Tiles(most=1, dynamic=False)
"""How 1.1 and 1.2 take a picture: squeezed into one square."""


@dataclass(frozen=True)
class Entry:
    """A released model. Cheap to make; `family()` builds the real thing.

    `base` and `suffix` make the name: variants of one size differ in their weights alone.
    """

    base: str
    generation: str
    vision: VisionModel
    language: LanguageModel
    template: str
    published: Published
    suffix: str = ""
    tiles: Tiles = Tiles()
    frame_label: str = "training"
    ps_version: Literal["v1", "v2"] = "v2"
    select_layer: int = -1
    initial: tuple[float, float, float] = (1.0, 0.02, 0.0)
    """Layer scale, deviation of weights and drop path that the released vision config writes down."""
    card_licence: str = ""
    """Licence tag of the repository, where we saw it."""
    weight_files: str = "model-*.safetensors"
    transformers_repository: str = ""
    """Repository in the layout of transformers, where one is published."""
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
    def layouts(self) -> dict[Layout, str]:
        """Published layouts and their repositories."""
        found: dict[Layout, str] = {"official": self.hub}
        if self.transformers_repository:
            found["transformers"] = self.transformers_repository
        return found

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every field that stays unverified, those of the language model as `language.field`."""
        return (*self.unverified, *(f"language.{name}" for name in self.language.unverified))

    @property
    def tokens_per_tile(self) -> int:
        """Tokens of a square: a quarter of its patches."""
        return self.vision.tokens // 4

    @property
    def picture_tokens(self) -> int:
        """Tokens of a picture that fills the grid: tiles, thumbnail, `<img>` and `</img>`."""
        tiles = self.tiles.most + 1 if self.tiles.dynamic else 1
        return tiles * self.tokens_per_tile + 2

    def parameters(self) -> dict[str, int]:
        """Weights by part: vision, connector, decoder, embeddings (part of decoder) and total."""
        vision, connector, decoder = (w.total for w in self._weights())
        embeddings = self.language.vocabulary * self.language.width
        total = vision + connector + decoder
        return {
            "vision": vision,
            "connector": connector,
            "decoder": decoder,
            "embeddings": embeddings,
            "total": total,
        }

    def bytes_to_load(self, kind: Literal["bf16", "int8"] = "bf16") -> int:
        """Bytes of the weights in memory; int8 shrinks the matrices of the blocks alone."""
        return sum(w.bytes_bf16 if kind == "bf16" else w.bytes_int8 for w in self._weights())

    def family(self) -> Family:
        """Everything needed to build the model and to write its prompts."""
        from tessera.families.family import Family
        from tessera.imaging.grid import Tiling
        from tessera.models.config import VLMConfig

        model = VLMConfig(
            vision=self.vision.config(*self.initial),
            decoder=self.language.config(),
            image_token_id=self.language.image_token,
            select_layer=self.select_layer,
            ps_version=self.ps_version,
        )
        tiling = Tiling(
            tile_side=self.vision.image_size,
            max_tiles=self.tiles.most,
            thumbnail=self.tiles.dynamic,
            dynamic=self.tiles.dynamic,
        )
        return Family(
            name=self.name, model=model, tiling=tiling, template=self.template, frame_label=self.frame_label
        )

    def _weights(self) -> tuple[Weights, Weights, Weights]:
        connector = connector_weights(self.vision.width, self.language.width)
        return self.vision.weights(), connector, self.language.weights()
