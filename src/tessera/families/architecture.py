"""What a family folder declares; everything that differs between architectures is reached through it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tessera.chat.templates import Template
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import SpecialTokens
from tessera.families.keymap import OWN, KeyMap, Shape
from tessera.models.config import DecoderConfig, ModelConfig, VisionConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

PartTables = Callable[[str, DecoderConfig | None, Collection[str]], Iterator[KeyMap]]


@dataclass(frozen=True)
class StoredGrid:
    """A position embedding [1, 1 + grid^2, D] that is stored for another grid and resized on the way in.

    `parameter` is its own name; `stored` and `wanted` count patches along a side, in the files and the model.
    """

    parameter: str
    stored: int
    wanted: int


class StoredKeys(Collection[str]):
    """Names of the tensors in a folder's files, none when they are unknown; and their shapes."""

    def __init__(self, names: Collection[str] = (), shape: Callable[[str], Shape] | None = None) -> None:
        self._names, self._shape = names, shape

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shape(self, name: str) -> Shape:
        """The shape of a stored tensor."""
        assert self._shape is not None, "names without files have no shapes"
        return self._shape(name)


@dataclass(frozen=True)
class PartApart:
    """A part whose weights lie in a folder of their own: `prefix` goes before their names.

    name: as the config names the folder, under `key`; places: where it may lie, in the order of looking; hub:
    what it is called on the hub, where nothing lies in these.
    """

    prefix: str
    key: str
    name: str
    places: tuple[Path, ...]
    hub: str


@dataclass(frozen=True)
class Reading:
    """What a folder's config says: a member of the family, and what is to be known beside it."""

    family: Family
    keymap: KeyMap = OWN
    """How the files name our parameters."""
    notes: tuple[str, ...] = ()
    """Harmless oddities and what was made of them, one sentence each."""
    card: dict[str, Any] = field(default_factory=dict)
    stored_grid: StoredGrid | None = None
    apart: PartApart | None = None


@dataclass(frozen=True)
class EncoderReading:
    """What a folder says of a vision encoder, alone or in a model: its config, and the pixels that it was
    trained on."""

    config: VisionConfig
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    stored_grid: int | None = None
    """Patches along a side of the stored position embedding, where the config has others."""


EncoderByShapes = Callable[[Mapping[str, Shape], Mapping[str, Any]], EncoderReading | None]


class PublishedLayout(Protocol):
    """One published way to lay out a checkpoint folder; a module of the family folder."""

    MODEL_TYPE: str
    """`model_type` of config.json, by which a folder is recognised. `ALSO`, where there: further ones."""
    FILES: tuple[str, ...]
    """Files beside weights and tokenizer that `write_config` makes."""
    LORA_RANKS: Mapping[str, str]
    """First word of a stored key -> key of config.json that holds the rank of its LoRA matrices."""

    def reads(self, config: Mapping[str, Any]) -> bool:
        """Whether a config.json of this `model_type` is this layout's; several may share the type."""

    def read_config(self, folder: Path, tokenizer: Tokenizer, keys: StoredKeys) -> Reading:
        """The member that the folder describes; `keys` are the tensors in its files, empty when unknown.

        Raises ValueError naming file, key and remedy.
        """

    def key_table(self, family: Family) -> KeyMap:
        """How the layout names our parameters in a folder that is to be written."""

    def config_of(self, family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
        """The content of config.json. ValueError for a model that the layout's code cannot compute."""

    def write_config(self, folder: Path, family: Family, tokenizer: Tokenizer) -> None:
        """Everything but weights and vocabulary, into a folder with a saved tokenizer."""


@dataclass(frozen=True)
class Architecture:
    """One family: the class of its model configs, its published layouts, its own templates and names."""

    name: str
    config: type[ModelConfig]
    layouts: Mapping[str, PublishedLayout] = field(default_factory=dict)
    """By name (`official`, `transformers`); Tessera's own layout needs no declaration."""
    encoders: Mapping[str, Callable[[Path], EncoderReading]] = field(default_factory=dict)
    """`model_type` of a vision encoder -> what reads it from its own folder's config.json, or from the
    `vision_config` in that of a model."""
    encoder_by_shapes: EncoderByShapes = lambda *_: None
    """What knows a vision encoder by the shapes of its tensors alone: stored key -> shape, and fields of its
    config that somebody has said beside."""
    templates: Mapping[str, Template] = field(default_factory=dict)
    tokens: SpecialTokens = SpecialTokens()
    """What the tokenizer of every member has."""
    opened_by: Mapping[str, str] = field(default_factory=dict)
    """Layout -> who else opens it, where that is not as InternVL's."""
    card_names: tuple[tuple[str, str], ...] = ()
    """(prefix in the model cards' device maps, own prefix)."""
    part_tables: PartTables = lambda *_: iter(())
    """Every form in which a part may lie in a folder of other people: whole checkpoints and parts alone.

    Called with the part's name, its config if it is a decoder, and the folder's keys.
    """
