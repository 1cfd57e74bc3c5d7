"""The model of a run with all that reads for it and saves it, and where first weights come from."""

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, field_validator

from tessera.chat.encoder import Encoder
from tessera.chat.positions import require_increment
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.content import ContentTokens
from tessera.checkpoints.adapter import find_with_adapter, name_of_base, replaces_weights
from tessera.checkpoints.bases.assembly import Assembly, Wishes
from tessera.checkpoints.bases.ears import EarsAssembly
from tessera.checkpoints.bases.parts import DecoderBase, VisionBase
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.fill import fill
from tessera.checkpoints.hub import CONFIG_FILES, find_checkpoint
from tessera.checkpoints.links.weights import begin_links
from tessera.checkpoints.load import Loaded, empty_model, load_checkpoint, open_weights, read_description
from tessera.checkpoints.lora.writing import AdapterPlan
from tessera.checkpoints.save import write_checkpoint
from tessera.checkpoints.shipped import Shipped, shipped_folder
from tessera.checkpoints.surgery import PART_FILE
from tessera.families.family import Family
from tessera.models.links.config import LinkConfig
from tessera.models.resolution.config import ResolutionConfig
from tessera.models.vlm import VLM
from tessera.nn.linear import LinearKind
from tessera.nn.lora import LoRAConfig
from tessera.nn.quantised import QuantisedLinear
from tessera.runtime.config import Config
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.train.objective.contract import Tensors
from tessera.train.objective.resolution.begin import with_router
from tessera.train.parallel.ranks import join

STAGE = re.compile(r"(\d+)_.+")
"""Folder of a finished stage in a run."""


class Start(Config):
    """Where the weights come from: a whole model, or parts with a fresh connector between them."""

    family: str | None = None
    """Name in the catalogue: template, tiles, and the shapes of parts that are not given. None takes the
    scale model's parts and, with a language model of other people, what the series does."""
    checkpoint: str | None = None
    """A whole model: a folder, a name as `chat --model` takes it, or "shipped" for the one in the package."""
    adapter: str | None = None
    """A LoRA adapter for the checkpoint, as a run here or PEFT wrote it: folder or hub name. Where the first
    stage has LoRA of its rank and scale the factors go on training, elsewhere they are merged."""
    frozen: Literal["stored", "int8", "int4"] = "stored"
    """How matrices of blocks are held that no stage trains itself: as they are stored or drawn, or quantised
    while they are read."""
    audio: str | None = None
    """Ears for the checkpoint: folder or hub name of a Whisper, or "fresh" for an encoder of the shape of
    `family`, drawn at random. The MLP behind it is fresh."""
    vision: str | None = None
    """A ViT: folder or hub name of an InternViT or of a model that has one, a run, or "shipped"."""
    decoder: str | None = None
    """A decoder: folder or hub name of a language model or of a model that has one, a run, or "shipped". Its
    own tokenizer comes with it and gets the picture tokens."""
    template: str | None = None
    """Name of the conversation template; None takes the family's, the decoder's own or its kind's."""
    image_size: int | None = Field(default=None, gt=0)
    """Side of a tile in pixels; the position embedding is resized to it. None as the ViT was trained."""
    select_layer: int | None = None
    """State of the ViT that the connector reads, -1 the last; None as a model says that the ViT stands in."""
    add_tokens: tuple[str, ...] = ()
    """New special tokens, such as "<loc>": each gets a row in embedding and head, for stages to train."""
    content_tokens: ContentTokens | None = None
    """Special strings that records may hold as tokens: added, all, or names; None as the model says."""
    resolution: ResolutionConfig | None = None
    """A second connector and a resolution router, fresh, beside the checkpoint's parts (docs/moe.md)."""
    links: LinkConfig | None = None
    """Link tokens that the checkpoint lacks (docs/link.md); names that are no tokens yet are added as by
    add_tokens. None takes the checkpoint's, if it has any."""
    visual_increment: float | None = None
    """V2PE: the increment that the saved model remembers for its answers; None as the model says."""

    @field_validator("visual_increment")
    @classmethod
    def _trained_increment(cls, value: float | None) -> float | None:
        return value if value is None else require_increment(value)

    @property
    def unused(self) -> list[str]:
        """Fields that are given here and that a whole model has no use for."""
        parts = ("vision", "decoder", "image_size", "select_layer") if self.checkpoint else ()
        return [name for name in parts if getattr(self, name) is not None]

    @property
    def said(self) -> dict[str, Any]:
        """Fields of the family that are given here."""
        given = {"content_tokens": self.content_tokens, "visual_increment": self.visual_increment}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class StoredBase:
    """The checkpoint that a run starts from, as adapters name it."""

    name: str
    folder: Path
    layout: LayoutName
    adapter: Path | None
    is_start: bool
    """Whether nothing but factors was added to it."""

    @classmethod
    def of(cls, start: Start, folder: Path, layout: LayoutName, adapter: Path | None) -> Self:
        """`folder` and `adapter` are those that the fields of `start` mean."""
        given = Path(start.checkpoint or "").expanduser()
        named = str(folder.absolute()) if given.is_dir() or start.checkpoint == "shipped" else str(given)
        if adapter is not None and start.adapter is None:
            named = name_of_base(adapter)
        changed = (
            start.add_tokens
            or start.links
            or start.resolution
            or start.said
            or (adapter is not None and replaces_weights(adapter))
        )
        return cls(named, folder, layout, adapter, not changed)


@dataclass(frozen=True)
class SeededParts:
    """A fresh model of parts, whose first weights can be had again."""

    assembly: Assembly | EarsAssembly
    seed: int

    def tensors(self) -> Tensors:
        """Own names and values in the model's dtype."""
        return ((name, value.to(self.assembly.dtype)) for name, value in self.assembly.tensors(self.seed))


@dataclass(frozen=True)
class ChatLearner:
    """A whole model with the tokenizer and the encoder that belong to it."""

    model: VLM
    tokenizer: Tokenizer
    encoder: Encoder
    family: Family
    base: StoredBase | None = None
    parts: SeededParts | None = None
    """What a fresh model was put together from."""

    @classmethod
    def start(cls, start: Start, seed: int, still: Callable[[str], bool] | None = None) -> Self:
        """A checkpoint in its own dtype, or a fresh model in float32 with parts laid over it; `seed` is the
        recipe's. `still` says by a weight's own name whether it is never trained itself; None: none is."""
        linears: LinearKind = "plain" if start.frozen == "stored" else start.frozen
        if start.audio is None and start.checkpoint:
            if start.template is not None:
                raise ValueError(
                    f"start.template = {shown(start.template)}: a whole model keeps its own template; leave "
                    "it out, or start from start.vision and start.decoder"
                )
            found = base_folder(start.checkpoint, "model")
            folder, adapter = find_with_adapter(found, start.adapter)
            loaded = load_checkpoint(
                folder,
                linears=linears,
                chosen=still,
                adapter=adapter,
                apart=True,
                add_tokens=(*start.add_tokens, *missing_links(start, folder)),
                windows=join().world > 1,
            )
            loaded = _linked(loaded.with_settings(**start.said), start.links, seed)
            loaded = with_router(loaded, start.resolution, derive_seed("router", seed) % 2**31)
            base = StoredBase.of(start, folder, loaded.layout, adapter)
            return cls(loaded.model, loaded.tokenizer, loaded.encoder, loaded.family, base)
        if start.links:
            raise ValueError("start.links: a whole model learns them; give start.checkpoint")
        if start.resolution:
            raise ValueError("start.resolution: a whole model gets a router; give start.checkpoint")
        if start.adapter:
            raise ValueError("start.adapter: it needs the start.checkpoint that it was made for")
        parts = assemble(start) if start.audio is None else assemble_ears(start)
        model = empty_model(parts.family)
        shared = join().world > 1
        fill(model, parts.tensors(seed), dtype=parts.dtype, linears=linears, chosen=still, windows=shared)
        family, tokenizer = parts.family, parts.tokenizer
        family = family.model_copy(update=start.said)
        encoder = family.encoder(tokenizer)
        return cls(model, encoder.tokenizer, encoder, family, parts=SeededParts(parts, seed))

    def save(self, folder: Path, card: dict[str, object], tensors: Tensors) -> None:
        """The whole model in Tessera's own layout; `tensors` are its weights by their own names."""
        if any(isinstance(module, QuantisedLinear) for module in self.model.modules()):
            tensors = self._with_stored(dict(tensors))
        write_checkpoint(folder, tensors, self.family, self.tokenizer, "tessera", card)

    def adapter(self, linears: Mapping[str, LoRAConfig], base: Path | None, trained: Set[str]) -> AdapterPlan:
        """What the adapter of a stage holds: `linears` has factors, `trained` weights come whole. `base`: the
        folder, in Tessera's layout, of the model that it belongs to; None is the start's."""
        if self.family.links is not None:
            raise ValueError(
                f"lora: adapters hold no link tokens ({self.family.links.label}); train whole weights, with "
                "rules that freeze what shall stay"
            )
        if base is None and self.base is not None:
            return AdapterPlan.of(linears, self.family, self.base.layout, self.base.name, trained)
        return AdapterPlan.of(linears, self.family, "tessera", str(base and base.absolute()), trained)

    def _with_stored(self, given: dict[str, torch.Tensor]) -> Tensors:
        """All weights: those given, and for the quantised ones what they were made of."""
        if self.parts is not None:
            for name, stored in self.parts.tensors():
                yield name, given.get(name, stored)
            return
        assert self.base is not None, "a model was read or put together"
        with open_weights(self.base.folder, adapter=self.base.adapter) as opened:
            for name, stored in replace(opened, apart=True).tensors():
                yield name, given.get(name, stored)


def missing_links(start: Start, folder: Path) -> tuple[str, ...]:
    """Names of link tokens that the tokenizer of a checkpoint lacks and `start.add_tokens` doesn't name."""
    if start.links is None:
        return ()
    tokenizer = read_description(folder).tokenizer
    names = (link.token for link in start.links.tokens)
    return tuple(name for name in names if not tokenizer.has_token(name) and name not in start.add_tokens)


def _linked(loaded: Loaded, links: LinkConfig | None, seed: int) -> Loaded:
    """The model with these links, fresh ones where it has none."""
    if links is None or links == loaded.family.links:
        return loaded
    if loaded.family.links is not None:
        raise ValueError(
            f"start.links: the checkpoint has link tokens already ({loaded.family.links.label}); leave "
            "start.links out, or start from a model without"
        )
    found = loaded.with_settings(links=links)
    begin_links(found.model, found.family, derive_seed("links", seed) % 2**31)
    return found


def assemble(start: Start) -> Assembly:
    """The model of these parts, described; what is not given is the family's, drawn at random."""
    vision = VisionBase.find(base_folder(start.vision, "vision")) if start.vision else None
    decoder = DecoderBase.find(base_folder(start.decoder, "decoder")) if start.decoder else None
    given = start.model_dump(include={"family", "template", "image_size", "select_layer"})
    name = None if start.family or start.decoder in (None, "shipped") else _name(start)
    return Assembly.plan(vision, decoder, Wishes(add_tokens=start.add_tokens, name=name, **given))


def assemble_ears(start: Start) -> EarsAssembly:
    """The checkpoint with the audio encoder that is given; ValueError for a start that has none."""
    if not start.checkpoint:
        raise ValueError(
            f"start.audio = {shown(start.audio)}: ears are added to a whole model; give start.checkpoint"
        )
    others = ("template", "add_tokens", "vision", "decoder", "adapter")
    if odd := next((name for name in others if getattr(start, name)), None):
        raise ValueError(f"start.{odd}: not beside start.audio; add it to the checkpoint before")
    fresh = start.audio == "fresh"
    encoder = None if fresh else find_checkpoint(str(start.audio), alone=True)
    return EarsAssembly.plan(base_folder(start.checkpoint, "model"), encoder, start.family)


def _name(start: Start) -> str:
    """What a model of parts is called."""
    parts = (Path(part).name for part in (start.vision, start.decoder) if part)
    return "+".join(parts)


def base_folder(given: str, what: Shipped) -> Path:
    """The folder of a model or a part: given as such, as a hub name, as a run (its last stage) or "shipped".

    ValueError when there is none.
    """
    if given == "shipped":
        return shipped_folder(what)
    folder = find_checkpoint(given, alone=what in ("vision", "decoder"))
    names = {path.name for path in folder.iterdir()}
    stages = {
        int(found[1]): folder / name
        for name in names
        if (found := STAGE.fullmatch(name)) and name.removesuffix("_ema") not in names - {name}
    }
    if not stages or any((folder / name).is_file() for name in (*CONFIG_FILES, PART_FILE)):
        return folder
    return stages[max(stages)]
