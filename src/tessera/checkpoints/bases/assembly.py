"""One model of an encoder and a decoder from anywhere, with a connector of its own drawn at random.

Shapes come from the folders, and so does the tokenizer, which gets the picture tokens of the series. How
pictures are cut and turns are written comes from a named member of a family, else from a whole model that a
part stands in, else it is what the series does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.added import NewTokens
from tessera.checkpoints.bases.parts import DecoderBase, VisionBase, stored_dtype
from tessera.checkpoints.save import write_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.checkpoints.surgery import part_tensors
from tessera.checkpoints.weights import tensors_of
from tessera.families.catalogue import get_family
from tessera.families.decoders.prompt import usual_template
from tessera.families.family import Family
from tessera.imaging.grid import Tiling
from tessera.models.config import ModelConfig, VLMConfig
from tessera.models.decoder import Decoder
from tessera.models.initialise import initialise, without_memory
from tessera.models.routing import visual_twin
from tessera.models.vlm import VLM
from tessera.runtime.atomic import atomic_folder
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown

TOY = "scale_model"
"""The family of parts that nobody names."""


@dataclass(frozen=True)
class Wishes:
    """What is given beside the parts; None leaves a thing to them and to the series."""

    family: str | None = None
    """Name in the catalogue: template, tiles, and the shapes of parts that are not given."""
    template: str | None = None
    image_size: int | None = None
    """Side of a tile; the position embedding is resized to it."""
    select_layer: int | None = None
    """State of the encoder that the connector reads."""
    add_tokens: tuple[str, ...] = ()
    name: str | None = None
    """Of the model."""

    @property
    def change_shapes(self) -> bool:
        """Whether the family alone does not say what is built."""
        return any(given is not None for given in (self.template, self.image_size, self.select_layer))


@dataclass(frozen=True)
class Assembly:
    """A model that can be built: what it is, its tokenizer, and where its weights come from."""

    family: Family
    tokenizer: Tokenizer
    source: ModelConfig
    """As its weights come, before rows of the vocabulary were added or left out."""
    vision: VisionBase | None = None
    decoder: DecoderBase | None = None
    new: NewTokens | None = None

    @classmethod
    def plan(cls, vision: VisionBase | None, decoder: DecoderBase | None, wishes: Wishes) -> Assembly:
        """No weight is read. ValueError for parts that make no model, naming the field and the remedy."""
        family, names = _family(vision, decoder, wishes), wishes.add_tokens
        alone = decoder is not None and decoder.alone
        if decoder is not None and decoder.tokenizer is not None:
            tokenizer, source = decoder.tokenizer, family.model
        else:
            tokenizer = load_tokenizer(shipped_folder("tokenizer"))
            _require_rows(decoder, tokenizer)
            family = family.fitted(tokenizer)
            source = family.model
        if alone:
            tokenizer, added = _with_pieces(tokenizer, family)
            family, names = _with_model(family, vocab_size=tokenizer.vocab_size), (*added, *names)
        new = NewTokens.plan(tokenizer, family, names) if names or alone else None
        if new is not None:
            family, tokenizer = new.family, new.tokenizer
        if alone and wishes.template is None and wishes.family is None:
            template = usual_template(source.decoder.architecture, tokenizer)
            family = family.model_copy(update={"template": template})
        image_token_id = tokenizer.token_id(family.chat_template.tokens.context)
        family = _with_model(family, image_token_id=image_token_id)
        return cls(family, tokenizer, source, vision, decoder, new)

    @property
    def dtype(self) -> torch.dtype:
        """bfloat16 where a published decoder and all other parts that are given are stored in it; else
        float32."""
        if self.decoder is None or self.decoder.tokenizer is None:
            return torch.float32
        stored = {stored_dtype(base.folder) for base in (self.vision, self.decoder) if base is not None}
        return torch.bfloat16 if stored == {torch.bfloat16} else torch.float32

    def tensors(self, seed: int) -> Iterator[tuple[str, torch.Tensor]]:
        """Own names and weights as stored; those of parts that are not given are drawn from `seed`."""
        read = self._read(seed)
        return read if self.new is None else self.new.widened(read)

    def write(
        self, folder: Path, seed: int, dtype: torch.dtype | None = None, card: dict[str, Any] | None = None
    ) -> Path:
        """Write the model in Tessera's layout, tensor by tensor; `dtype` None is that of `self.dtype`.

        ValueError, before anything is written, for a template that this tokenizer cannot write.
        """
        self.family.encoder(self.tokenizer)
        kind = dtype or self.dtype
        tensors = ((name, tensor.to(kind)) for name, tensor in self.tensors(seed))
        with atomic_folder(folder) as fresh:
            write_checkpoint(fresh, tensors, self.family, self.tokenizer, "tessera", card)
        return folder

    def _read(self, seed: int) -> Iterator[tuple[str, torch.Tensor]]:
        bases = {"vision": self.vision, "decoder": self.decoder}
        given = {name: base for name, base in bases.items() if base is not None}
        yield from _drawn(self.source, given, seed)
        with without_memory():
            parts = dict(VLM(self.source).named_children())
        if self.vision is not None:
            yield from self._of_vision(parts["vision"])
        if self.decoder is not None:
            yield from self._of_decoder(parts["decoder"], self.decoder)

    def _of_decoder(self, module: nn.Module, base: DecoderBase) -> Iterator[tuple[str, torch.Tensor]]:
        """As stored; what tokens of pictures meet alone and it lacks begins as a copy of what text meets."""
        with without_memory():
            stored = Decoder(base.config)
        wanted = dict(module.named_parameters()).keys() - dict(stored.named_parameters()).keys()
        for name, tensor in part_tensors(stored, "decoder", base.folder):
            yield name, tensor
            if (twin := visual_twin(name)).removeprefix("decoder.") in wanted:
                yield twin, tensor

    def _of_vision(self, module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
        assert self.vision is not None
        grid = self.vision.resized(_internvl(self.source).vision.grid)
        return part_tensors(module, "vision", self.vision.folder, grid)

    @torch.no_grad()
    def lay_vision(self, model: nn.Module) -> None:
        """Copy the encoder that is given over the part `vision` of a model of this shape, if one is given."""
        if self.vision is not None:
            expected = dict(model.named_parameters())
            for name, tensor in self._of_vision(model.get_submodule("vision")):
                expected[name].copy_(tensor)


def _family(vision: VisionBase | None, decoder: DecoderBase | None, wishes: Wishes) -> Family:
    """The member that is built, its decoder with the rows that are stored."""
    named = get_family(wishes.family or TOY)
    if vision is None and decoder is None and not wishes.change_shapes:
        return named
    model = _model(named, vision, decoder, wishes)
    said: dict[str, Any] = {"model": model, "tiling": named.tiling}
    wholes = [base.whole for base in (vision, decoder) if base is not None and base.whole is not None]
    if wishes.family is None and decoder is not None and decoder.tokenizer is not None:
        said |= {"tiling": wholes[0].tiling if wholes else Tiling(), "system_text": None}
        if decoder.whole is not None:
            kept = ("template", "system_text", "frame_label", "frames", "content_tokens")
            said |= {name: getattr(decoder.whole, name) for name in kept}
    said["tiling"] = said["tiling"].model_copy(update={"tile_side": model.tile_side})
    given = {"template": wishes.template, "name": wishes.name}
    return Family(**dict(named) | said | {name: value for name, value in given.items() if value is not None})


def _model(
    named: Family, vision: VisionBase | None, decoder: DecoderBase | None, wishes: Wishes
) -> VLMConfig:
    """Shapes of the parts that are given, those of the named member for the others."""
    model = _internvl(named.model)
    said: dict[str, Any] = {"select_layer": model.select_layer, "vision": model.vision}
    if vision is not None:
        said |= {"vision": model.vision_of(vision.config), **vision.pixels}
        if vision.whole is not None and model.vision.num_hidden_layers:
            said["select_layer"] = _internvl(vision.whole.model).select_layer
        elif wishes.family is None:
            said["select_layer"] = -1
    if decoder is not None:
        said["decoder"] = model.decoder_of(decoder.config)
    if wishes.select_layer is not None:
        said["select_layer"] = wishes.select_layer
    side = wishes.image_size or (model.vision.image_size if wishes.family and vision else None)
    if side is not None:
        said["vision"] = type(said["vision"])(**dict(said["vision"]) | {"image_size": side})
    return type(model)(**dict(model) | said)


def _internvl(model: ModelConfig) -> VLMConfig:
    if not isinstance(model, VLMConfig):
        raise ValueError("family: parts are put together as InternVL puts them; name a member of it")
    return model


def _with_pieces(tokenizer: Tokenizer, family: Family) -> tuple[Tokenizer, list[str]]:
    """With the picture tokens that are pieces of its vocabulary (Yi's <img>); and those to be added."""
    wanted = [token for token in family.declaration.tokens.all if not tokenizer.has_token(token)]
    pieces = [token for token in wanted if tokenizer.vocabulary.token_id(token) is not None]
    return tokenizer.with_added(pieces), [token for token in wanted if token not in pieces]


def _with_model(family: Family, **changes: int) -> Family:
    """With another number of rows or another id in its model."""
    model = family.model
    if (rows := changes.pop("vocab_size", None)) is not None:
        decoder = model.decoder.model_copy(update={"vocab_size": rows})
        model = model.model_copy(update={"decoder": decoder})
    return family.model_copy(update={"model": model.model_copy(update=changes)})


def _require_rows(decoder: DecoderBase | None, tokenizer: Tokenizer) -> None:
    if decoder is not None and decoder.config.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"decoder: {shown(decoder.folder)} has {decoder.config.vocab_size} rows and no tokenizer, the "
            f"shipped one has {tokenizer.vocab_size} tokens; give the whole model that it was saved from"
        )


def _drawn(model: ModelConfig, given: dict[str, Any], seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of all parts that are not given, as a model drawn whole would have them."""
    if "decoder" in given and ("vision" in given or not _internvl(model).vision.num_hidden_layers):
        # A connector's draws, or a patch embedding's, don't go by the decoder's, and a large one need not be
        # made to be thrown away.
        small = model.decoder.model_copy(update={"num_hidden_layers": 1, "vocab_size": 1})
        model = model.model_copy(update={"decoder": small})
    whole = VLM(model)
    initialise(whole, derive_seed("initialise", seed) % 2**31)
    yield from ((name, tensor) for name, tensor in tensors_of(whole) if name.partition(".")[0] not in given)
