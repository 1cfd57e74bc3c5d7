"""What a folder says of the encoder or the decoder in it: alone, a saved part, or in a whole model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints import own
from tessera.checkpoints.description import CONFIG_FILE
from tessera.checkpoints.files.folder import holds_weights
from tessera.checkpoints.files.shards import ShardReader
from tessera.checkpoints.files.weight_files import LOOSE
from tessera.checkpoints.hub import TOKENIZER_FILES
from tessera.checkpoints.load import read_description
from tessera.checkpoints.surgery import PART_FILE, saved_config
from tessera.families.architecture import EncoderReading, StoredGrid
from tessera.families.decoders.config import read_language_model
from tessera.families.family import Family
from tessera.families.pairs import PairFamily, find_pair
from tessera.families.registry import architectures, find_encoder, model_types
from tessera.models.accounting import Weights
from tessera.models.config import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    POSITIONS,
    DecoderConfig,
    VisionConfig,
)
from tessera.runtime.json_file import read_object
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class VisionBase:
    """A vision encoder in a folder."""

    folder: Path
    """Of its weights; or the one file that holds them."""
    config: VisionConfig
    stored_grid: int
    """Patches along a side for which the position embedding is stored."""
    pixels: dict[str, Any]
    """`mean` and `std` of the pixels that it was trained on."""
    whole: Family | None = None
    """The model that it stands in, if it does."""

    def resized(self, grid: int) -> StoredGrid:
        """How its position embedding is read for so many patches along a side."""
        return StoredGrid(POSITIONS, self.stored_grid, grid)

    @classmethod
    def find(cls, folder: Path, said: Mapping[str, Any] | None = None) -> Self:
        """In a folder, or in one file of weights. `said`: fields of its config, where none lies beside it.

        ValueError for what holds no encoder, naming what can be given.
        """
        if said and any((folder / name).is_file() for name in (PART_FILE, CONFIG_FILE, own.CONFIG_FILE)):
            raise ValueError(
                f"config: {shown(folder)} says its own shapes; leave config out, or mend the file"
            )
        if (folder / PART_FILE).is_file():
            config = VisionConfig.model_validate(saved_config("vision", folder)[1])
            return cls(folder, config, config.grid, {"mean": IMAGENET_MEAN, "std": IMAGENET_STD})
        weights = _loose(folder)
        if folder.is_file() or (weights != folder and not (folder / CONFIG_FILE).is_file()):
            return cls._by_shapes(weights, said or {})
        content = {} if own.describes(folder) else _content(folder)
        model_type = content.get("model_type")
        if read := find_encoder(model_type):
            found = read(folder)
            _require_held(weights, found.config.weights())
            return cls._read(weights, found)
        if pair := find_pair(content):
            return cls._in_pair(folder, pair)
        if not _is_whole(folder, model_type):
            raise ValueError(
                f"{shown(folder)}: {CONFIG_FILE} says model_type = {shown(model_type)}, which is no vision "
                "encoder that is read here; give an InternViT, a model that has one, or a saved part"
            )
        if nested := _without_tokenizer(folder, content):
            return cls._read(folder, nested(folder))
        return cls._in_whole(folder)

    @classmethod
    def _read(cls, weights: Path, said: EncoderReading) -> Self:
        grid = said.config.grid if said.stored_grid is None else said.stored_grid
        return cls(weights, said.config, grid, {"mean": said.mean, "std": said.std})

    @classmethod
    def _by_shapes(cls, weights: Path, said: Mapping[str, Any]) -> Self:
        with ShardReader(weights) as reader:
            shapes = {key: reader.shape(key) for key in reader.files}
        for architecture in architectures().values():
            if found := architecture.encoder_by_shapes(shapes, said):
                return cls._read(weights, found)
        raise ValueError(
            f"{shown(weights)}: no key belongs to an InternViT (the first is {shown(next(iter(shapes), ''))})"
            "; give the file or the folder of one, or a model that has one"
        )

    @classmethod
    def _in_pair(cls, folder: Path, pair: PairFamily) -> Self:
        key = pair.layout.key_table().group(POSITIONS).stored[0]
        with ShardReader(folder) as reader:
            held = reader.shape(key) if key in reader.files else None
        found = pair.layout.read_config(folder, held)
        config = found.config
        grid = None if found.stored_grid is None else found.stored_grid.stored
        return cls._read(folder, EncoderReading(config.vision, config.mean, config.std, grid))

    @classmethod
    def _in_whole(cls, folder: Path) -> Self:
        found = read_description(folder)
        model = found.family.model
        vision = getattr(model, "vision", None)
        if not isinstance(vision, VisionConfig):
            raise ValueError(f"{shown(folder)}: {found.family.name} has no InternViT; give another model")
        grid = vision.grid if found.stored_grid is None else found.stored_grid.stored
        pixels = model.model_dump(include={"mean", "std"})
        return cls(folder, vision, grid, pixels, found.family)


@dataclass(frozen=True)
class DecoderBase:
    """A decoder in a folder, with the tokenizer that stands beside it."""

    folder: Path
    config: DecoderConfig
    """As stored, with all rows of the vocabulary."""
    tokenizer: Tokenizer | None = None
    """None for a saved part of ours, which knows none."""
    whole: Family | None = None
    """The model that it stands in, if it does."""

    @classmethod
    def find(cls, folder: Path) -> Self:
        """ValueError naming file and key for a folder that holds none."""
        if (folder / PART_FILE).is_file():
            return cls(folder, DecoderConfig.model_validate(saved_config("decoder", folder)[1]))
        if _is_whole(folder, _model_type(folder)):
            found = read_description(folder)
            return cls(folder, found.family.model.decoder, found.tokenizer, found.family)
        with ShardReader(folder) as reader:
            config = read_language_model(folder, reader.files.keys())
        _require_held(folder, config.weights())
        tokenizer = load_tokenizer(folder)
        if tokenizer.vocab_size > config.vocab_size:
            raise ValueError(
                f"{shown(folder)}: the tokenizer has {tokenizer.vocab_size} tokens but vocab_size is "
                f"{config.vocab_size}: the tokenizer files belong to another model"
            )
        return cls(folder, config, tokenizer)

    @property
    def alone(self) -> bool:
        """Whether it is a language model that knows no pictures yet."""
        return self.tokenizer is not None and self.whole is None


def stored_dtype(folder: Path) -> torch.dtype:
    """The number format of the norms in a folder, which nobody quantises; float32 where there is none."""
    with ShardReader(folder) as reader:
        norm = next((key for key in sorted(reader.files) if "norm" in key), None)
        return torch.float32 if norm is None else reader.tensor(norm).dtype


def _require_held(folder: Path, weights: Weights) -> None:
    """ValueError for a part that the files cannot hold: no number takes less than a byte."""
    with ShardReader(folder) as reader:
        held = reader.size_on_disk()
    if weights.total > held:
        raise ValueError(
            f"{shown(folder)}: {CONFIG_FILE} asks for {weights.total:,} weights, the files hold {held:,} "
            "bytes: config and weights belong to different models"
        )


def _loose(folder: Path) -> Path:
    """The one file that holds an encoder's weights in a folder where nothing else does; else the folder."""
    if not folder.is_dir() or holds_weights(folder):
        return folder
    files = [path for ending in LOOSE for path in sorted(folder.glob(f"*{ending}"))]
    return files[0] if len(files) == 1 else folder


def _without_tokenizer(folder: Path, content: Mapping[str, Any]) -> Callable[[Path], EncoderReading] | None:
    """What reads the encoder of a whole model whose tokenizer is not there: none is needed to see."""
    nested = content.get("vision_config")
    if any((folder / name).is_file() for name in TOKENIZER_FILES) or not isinstance(nested, Mapping):
        return None
    return find_encoder(nested.get("model_type"))


def _content(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(
            f"{shown(folder)} holds neither {CONFIG_FILE} nor {own.CONFIG_FILE} nor {PART_FILE}: give the "
            "folder of a model, or of a part of one"
        )
    return read_object(path)


def _model_type(folder: Path) -> object:
    return None if own.describes(folder) else _content(folder).get("model_type")


def _is_whole(folder: Path, model_type: object) -> bool:
    return own.describes(folder) or model_type in model_types()
