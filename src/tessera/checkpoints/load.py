"""Open a checkpoint folder: model, tokenizer and encoder that belong together."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from tessera.chat.encoder import Encoder
from tessera.checkpoints.adapter import Adapter
from tessera.checkpoints.added import NewTokens
from tessera.checkpoints.description import (
    CONFIG_FILE,
    Description,
    describe,
    published_layout,
    with_known_reason,
)
from tessera.checkpoints.files.folder import holds_weights
from tessera.checkpoints.files.joined import JoinedSource, folder_of
from tessera.checkpoints.files.lora import MergedReader, is_lora
from tessera.checkpoints.files.shards import ShardReader, TensorSource
from tessera.checkpoints.files.views import Int8View, ResizedPositions, is_int8
from tessera.checkpoints.fill import fill
from tessera.checkpoints.links.weights import attach_links
from tessera.checkpoints.lora.attaching import attach
from tessera.checkpoints.quantised.awq import CODES, AwqView
from tessera.checkpoints.quantised.form import CodedView, StoredCodes, form_of
from tessera.checkpoints.quantised.mxfp4 import BLOCKS, Mxfp4View
from tessera.checkpoints.weights import check_size, find_groups, read_own
from tessera.families.architecture import StoredKeys
from tessera.families.family import Family
from tessera.families.keymap import Group
from tessera.models.accounting import count_parameters
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.attention.api import describe_attention
from tessera.nn.codes import Codes
from tessera.nn.linear import LinearKind
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

SMALL = 2**16
"""Numbers in a tensor up to which a look costs nothing: norms, biases, scales."""


@dataclass(frozen=True, kw_only=True)
class Loaded(Description):
    """What a checkpoint folder holds, ready for use; the model is in evaluation mode."""

    model: VLM
    encoder: Encoder
    folder: Path

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer."""
        return self.encoder.stop_ids

    def with_settings(self, **settings: object) -> Loaded:
        """The same model with other fields of its family that concern prompts; None leaves a field alone."""
        update = {name: value for name, value in settings.items() if value is not None}
        if not update:
            return self
        family = self.family.model_copy(update=update)
        encoder = family.encoder(self.tokenizer)
        return replace(self, family=family, encoder=encoder, tokenizer=encoder.tokenizer)

    @property
    def summary(self) -> str:
        """Name, layout, parts, parameters, dtype, devices and attention kernel in one line."""
        kept = [*self.model.parameters(), *self.model.buffers()]
        places = ", ".join(sorted({str(tensor.device) for tensor in kept}))
        norm = self.model.decoder.norm.weight
        attention = describe_attention(norm.device, norm.dtype, self.family.model.decoder.head_width)
        count = count_parameters(self.family.model)["total"]
        size = f"{count / 1e9:.1f} B" if count >= 1e8 else f"{count / 1e6:.2f} M"
        dtype = str(norm.dtype).removeprefix("torch.")
        quantised = {torch.int8: "int8", torch.uint8: "int4"}
        dtype = " and ".join((*sorted({quantised[t.dtype] for t in kept if t.dtype in quantised}), dtype))
        links = "" if self.family.links is None else f" · links {self.family.links.label}"
        return (
            f"{self.family.name} · {self.layout} layout · {self.family.model.label} · "
            f"{size} parameters · {dtype} on {places} · {attention}{links}"
        )


@dataclass(frozen=True)
class OpenedWeights:
    """A folder whose keys and shapes are those that the model needs; the weights are still unread."""

    described: Description
    model: VLM
    """On the meta device."""
    groups: list[Group]
    """What to read from `source`, in the order of the files."""
    source: TensorSource
    adapter: Adapter | None = None
    new: NewTokens | None = None
    apart: bool = False
    """The adapter's factors are not merged; `attach` puts them beside their linears."""
    stored: StoredCodes | None = None
    """Of weights in few bits, which `source` gives as floats."""

    @property
    def coded(self) -> list[Group]:
        """Weights in few bits; none where an adapter is merged into them."""
        if self.stored is None or (self.adapter is not None and not self.apart):
            return []
        return [group for group in self.groups if self.stored.coded.issuperset(group.stored)]

    @property
    def as_floats(self) -> tuple[str, ...]:
        """What is to be said where weights in few bits were read by `tensors`."""
        if self.stored is None:
            return ()
        return (f"{shown(self.source.folder)}: weights stored in {self.stored.told} were opened as floats",)

    def codes(self, groups: Iterable[Group]) -> Iterator[tuple[str, Codes]]:
        """Own names and weights of some of `coded`, as they are stored."""
        if self.stored is None:
            return
        for group in groups:
            shapes = [tuple(self.model.get_parameter(name).shape) for name in group.own]
            found = [self.stored.codes(key) for key in group.stored]
            # What joins and cuts matrices goes by their rows, which codes, scales and zeros have, too.
            parts = [
                [None] * len(shapes) if one[0] is None else group.to_own(one, shapes)
                for one in zip(*found, strict=True)
            ]
            made = type(found[0])._make
            yield from zip(group.own, (made(part) for part in zip(*parts, strict=True)), strict=True)

    def tensors(
        self, looked_at: float = math.inf, but: Container[Group] = ()
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Own names and tensors, as `read_own` gives them; with adapter and rows for new tokens.

        `but`: those that are left out."""
        groups = [group for group in self.groups if group not in but]
        read = read_own(groups, dict(self.model.named_parameters()), self.source, looked_at)
        read = read if self.adapter is None else self.adapter.merged(read, self.apart)
        return read if self.new is None else self.new.widened(read)

    def with_tokens(self, names: Sequence[str]) -> OpenedWeights:
        """The same with rows for new special tokens. ValueError for a name that can be none."""
        if not names:
            return self
        said = self.described
        new = NewTokens.plan(said.tokenizer, said.family, names)
        told = replace(said, tokenizer=new.tokenizer, family=new.family, notes=(*said.notes, new.note))
        return replace(self, described=told, model=empty_model(new.family), new=new)


def load_checkpoint(
    folder: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    linears: LinearKind = "plain",
    chosen: Callable[[str], bool] | None = None,
    devices: Mapping[str, str] | None = None,
    merge_lora: bool = False,
    adapter: Path | None = None,
    apart: bool = False,
    add_tokens: Sequence[str] = (),
    windows: bool = False,
    as_stored: bool = False,
) -> Loaded:
    """Open a folder in Tessera's, the original OpenGVLab or transformers' layout.

    The model is laid out without memory and filled tensor by tensor, each cast to `dtype` (None keeps the
    stored one) and put on its device right away: the host needs no more than what stays there and one shard.
    `linears` packs the blocks' matrices, for inference, or quantises them, `chosen` by their names. Packed
    models, and others with `windows` where nothing is cast, stay windows into the files, which may then be
    replaced but not overwritten in place: the processes of a host hold them once. `devices`:
    own prefix -> device, the longest that matches wins, `device` takes the rest. A LoRA checkpoint opens with
    `merge_lora`; `adapter` is a folder with a LoRA adapter, which is merged in, or stays beside its linears
    (`apart`). add_tokens: new special tokens, which get rows (`NewTokens`). as_stored: weights stored in few
    bits stay so, whatever `linears` says; else they are opened as floats first. Raises ValueError naming
    file, key and remedy when anything is missing, too much, of another shape or of an unknown architecture.
    """
    root = Path(folder)
    with open_weights(root, dtype, merge_lora, adapter) as found:
        opened = replace(found.with_tokens(add_tokens), apart=apart)
        said = opened.described
        try:
            encoder = said.family.encoder(said.tokenizer)
        except ValueError as error:
            raise ValueError(f"{shown(root)}: {error}") from error
        # Packed weights stay in the files until they are used: only what is small is read for a look.
        looked_at = SMALL if linears == "packed" else math.inf
        coded = opened.coded if as_stored else []
        read, codes = opened.tensors(looked_at, coded), opened.codes(coded)
        fill(opened.model, read, device, dtype, devices, linears, chosen, windows, codes)
        if apart and opened.adapter is not None:
            attach(opened.model, opened.adapter)
    attach_links(opened.model, root, said.family, encoder.tokenizer)
    notes = said.notes if coded else (*said.notes, *opened.as_floats)
    told = vars(said) | {"tokenizer": encoder.tokenizer, "notes": notes}
    return Loaded(**told, model=opened.model.eval(), encoder=encoder, folder=root)


@contextmanager
def open_weights(
    folder: str | Path,
    dtype: torch.dtype | None = None,
    merge_lora: bool = False,
    adapter: Path | None = None,
) -> Iterator[OpenedWeights]:
    """A folder's weights, checked against its config and ready to be read; raises as `load_checkpoint`.

    `dtype`: that of weights which are stored in 8 bits.
    """
    root = Path(folder)
    with ShardReader(root) as reader, ExitStack() as others:
        with with_known_reason(root):
            found = published_layout(root)  # before the weights: a folder of something else is named as such
            source, notes = stored_views(reader, dtype, merge_lora, found[2].LORA_RANKS if found else {})
            stored = source if isinstance(source, StoredCodes) else None
            described = describe(root, StoredKeys(source.files, source.shape))
            source, *parts = _joined(source, described, others)
            if grid := described.stored_grid:
                key = described.keymap.group(grid.parameter).stored[0]
                source = ResizedPositions(source, key, grid.stored, grid.wanted)
            check_size(described.family.model, reader, *parts)
            model = empty_model(described.family)
            groups = find_groups(dict(model.named_parameters()), described.keymap, source)
            _check_linears(model, groups, stored)
        merged = None if adapter is None else Adapter(adapter, model)
        notes += [] if merged is None else [merged.note]
        noted = replace(described, notes=(*described.notes, *reader.notes, *notes))
        yield OpenedWeights(noted, model, groups, source, merged, stored=stored)


def read_description(folder: str | Path) -> Description:
    """Everything about a folder but its weights, which need not be there: config, tokenizer, key table."""
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"checkpoint folder {root} does not exist; give the folder that holds the config")
    if not holds_weights(root):
        with with_known_reason(root):
            return describe(root, StoredKeys())
    with ShardReader(root) as reader, ExitStack() as others, with_known_reason(root):
        described = describe(root, StoredKeys(reader.files, reader.shape))
        _, *parts = _joined(reader, described, others)
        check_size(described.family.model, reader, *parts)
    return described


def _joined(
    source: TensorSource, described: Description, others: ExitStack
) -> tuple[TensorSource, *tuple[ShardReader, ...]]:
    """The files' tensors with those of a part in a folder of its own, and what reads that folder."""
    if (apart := described.apart) is None:
        return (source,)
    part = others.enter_context(ShardReader(folder_of(apart, source.folder / CONFIG_FILE)))
    return JoinedSource(source, part, apart.prefix), part


def empty_model(family: Family) -> VLM:
    """The model on the meta device: shapes and names, no memory."""
    with without_memory():
        return VLM(family.model)


def _check_linears(model: VLM, groups: Iterable[Group], stored: StoredCodes | None) -> None:
    """ValueError for weights in few bits that are not those of linear layers."""
    if stored is None:
        return
    for group in groups:
        few = stored.coded.intersection(group.stored)
        owners = [model.get_submodule(name.rpartition(".")[0]) for name in group.own]
        if few and not all(isinstance(owner, nn.Linear) for owner in owners):
            raise ValueError(
                f"{stored.place(min(few))}: {shown(min(few))} is in few bits, which only linear layers can "
                "be: fetch the files again"
            )


def stored_views(
    reader: ShardReader, dtype: torch.dtype | None, merge_lora: bool, rank_keys: Mapping[str, str]
) -> tuple[TensorSource, list[str]]:
    """The files' tensors with LoRA merged and 8-bit weights as floats, and what is to be said about it."""
    source: TensorSource = reader
    if form := form_of(reader.folder):
        return CodedView(reader, form, dtype), []
    notes: list[str] = []
    path = reader.folder / CONFIG_FILE
    config = Section.of(path) if path.is_file() else Section(shown(path))
    method, how = _quantisation(config)
    if not method and (packed := next((key for key in reader.files if key.endswith(CODES)), None)):
        raise ValueError(
            f"{path}: quantization_config is missing, but {shown(packed)} holds codes of few bits: fetch the "
            "checkpoint's own config.json"
        )
    if method == "awq":
        return AwqView(reader, how, dtype), notes
    if any(key.endswith(BLOCKS) for key in reader.files):
        return Mxfp4View(reader, dtype), notes
    said = [f"{key} = {rank}" for key in rank_keys.values() if (rank := config.whole(key, 0))]
    if is_lora(reader.files):
        if not merge_lora:
            raise ValueError(
                f"{reader.folder} is a LoRA checkpoint ({', '.join(said) or 'by its keys'}): open it with "
                "merge_lora=True, or write a merged one with tessera convert --merge-lora"
            )
        source = MergedReader(reader, config, rank_keys)
        notes.append(f"{reader.folder}: LoRA matrices were merged into the weights")
    elif said:
        notes.append(
            f"{path}: {said[0]} but the files hold no LoRA matrices: the weights are taken as merged"
        )
    if is_int8(source):
        source = Int8View(source, dtype)
        notes.append(f"{reader.folder}: weights stored in 8 bits were opened as floats")
    return source, notes


def _quantisation(config: Section) -> tuple[str, Section]:
    """What wrote weights in few bits, empty for none, and what it says of them: of the model, or, as in
    released AWQ models, of its language model. ValueError for what is not read."""
    inner = ("llm_config", "text_config")
    parts = [config, *(config.without_nulls(*inner).part(key) for key in inner)]
    every = [part.without_nulls("quantization_config").part("quantization_config") for part in parts]
    said = next((one for one in every if one.content), every[0])
    if not said.content:
        return "", said
    method, four = said.text("quant_method", "bitsandbytes"), said.flag("load_in_4bit")
    if method in ("awq", "mxfp4") or method == "bitsandbytes" and not four:
        return method, said
    raise ValueError(
        f"{said.where} is {shown(method)} in {'4' if four else 'few'} bits, which is not read; fetch the "
        "unquantised checkpoint, or one made by AWQ (int8 and int4 are made while loading)"
    )
