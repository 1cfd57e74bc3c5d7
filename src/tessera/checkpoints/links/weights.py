"""`links.safetensors`: queries, projections and mask decoder, with marks of the model that they belong to.

The declaration stands in `tessera.json`; the file repeats it. Marks are the model's final norm and the
embedding rows of the link tokens: weights that were trained with another model would give masks of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tessera.chat.tokenizer import Tokenizer
from tessera.families.family import Family
from tessera.models.config import VLMConfig
from tessera.models.initialise import initialise
from tessera.models.links.config import LinkConfig
from tessera.models.links.parts import LinkParts
from tessera.models.vlm import VLM
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

FILE, PREFIX = "links.safetensors", "links."
NORM, ROWS = "decoder.norm.weight", "decoder.embed_tokens.weight"
NORM_MARK, ROWS_MARK = "mark.norm", "mark.rows"
ALIKE = 0.05
"""Largest relative difference of a mark: a cast to few bits moves it by less, another training by more."""


def make_parts(family: Family) -> LinkParts:
    """Queries and projections as a member declares them, without values. ValueError where it can't be."""
    assert family.links is not None
    model = family.model
    if family.links.masks is not None and not isinstance(model, VLMConfig):
        raise ValueError(f"links.masks: {family.name} has no InternViT for a mask decoder; leave masks out")
    vision_width = model.vision.hidden_size if isinstance(model, VLMConfig) else 0
    return LinkParts(family.links, model.decoder.hidden_size, model.decoder.vocab_size, vision_width)


def begin_links(model: VLM, family: Family, seed: int) -> None:
    """Give a model fresh links, on the CPU in its embedding's dtype: queries as spread as its words."""
    parts = make_parts(family)
    initialise(parts, seed)
    words = model.decoder.embed_tokens.weight
    spread = float(words.detach().float().std())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        parts.queries.normal_(0.0, spread, generator=generator)
    model.links = parts.to(words.dtype)


class LinksApart:
    """Takes the links out of a stream of own names and tensors, and writes them beside the model."""

    def __init__(self, family: Family, tokenizer: Tokenizer) -> None:
        self._config = family.links
        self._ids = [] if self._config is None else [tokenizer.token_id(t.token) for t in self._config.tokens]
        self._found: dict[str, torch.Tensor] = {}

    def rest(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
        """The tensors that are not links'."""
        for name, tensor in tensors:
            if name.startswith(PREFIX):
                self._keep(name.removeprefix(PREFIX), tensor)
                continue
            if self._config and name == NORM:
                self._keep(NORM_MARK, tensor.float())
            if self._config and name == ROWS:
                self._keep(ROWS_MARK, tensor[self._ids].float())
            yield name, tensor

    def write(self, folder: Path) -> None:
        """The file, or no file for a model without links. ValueError where their weights did not come."""
        path = folder / FILE
        if self._config is None:
            path.unlink(missing_ok=True)
            return
        if not self._found.keys() - {NORM_MARK, ROWS_MARK}:
            raise ValueError(f"links: {self._config.label} is declared, but no weights came for it")
        told = {"format": "pt", "links": self._config.model_dump_json()}
        with disk_faults(folder):
            save_file(self._found, path, metadata=told)

    def _keep(self, name: str, tensor: torch.Tensor) -> None:
        self._found[name] = tensor.detach().cpu().contiguous().clone()


def link_tensors(folder: Path, family: Family) -> Iterator[tuple[str, torch.Tensor]]:
    """Own names and values of a folder's links; nothing for a model without."""
    if family.links is None:
        return
    with _opened(folder / FILE, family.links) as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            if not name.startswith("mark."):
                yield f"{PREFIX}{name}", file.get_tensor(name)


def attach_links(model: VLM, folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Open the links that a member declares, where the model's embedding lies and in its dtype.

    ValueError naming file, tensor and remedy for weights that are missing, of another shape, or of another
    model.
    """
    if family.links is None:
        return
    path, parts = folder / FILE, make_parts(family)
    with _opened(path, family.links) as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    marks = {name: stored.pop(name, None) for name in (NORM_MARK, ROWS_MARK)}
    _check_shapes(path, stored, dict(parts.named_parameters()))
    words = model.decoder.embed_tokens.weight
    ids = [tokenizer.token_id(link.token) for link in family.links.tokens]
    _check_mark(path, "the model's final norm", marks[NORM_MARK], model.decoder.norm.weight)
    _check_mark(path, "the embedding of the link tokens", marks[ROWS_MARK], words[ids])
    parts.load_state_dict(stored)
    model.links = parts.to(words.device, words.dtype).eval()


def _opened(path: Path, config: LinkConfig) -> safe_open:
    """The file, whose declaration is the model's own."""
    if not path.is_file():
        raise ValueError(
            f"{shown(path)} is missing: the model's config declares {config.label}; fetch the file, too"
        )
    try:
        file = safe_open(path, "pt")
        said = LinkConfig.model_validate(json.loads((file.metadata() or {}).get("links", "{}")))
    except (SafetensorError, ValidationError, json.JSONDecodeError) as error:
        raise ValueError(f"{shown(path)} holds no links that can be read: fetch it again") from error
    if said != config:
        raise ValueError(
            f"{shown(path)} was written for {said.label} ({said.queries} queries), the model's config says "
            f"{config.label} ({config.queries} queries): the file belongs to another model; fetch both again"
        )
    return file


def _check_shapes(path: Path, stored: dict[str, torch.Tensor], wanted: dict[str, torch.nn.Parameter]) -> None:
    for name in sorted(stored.keys() ^ wanted.keys()):
        state = "is missing" if name in wanted else "fits no part of the links"
        raise ValueError(f"{shown(path)}: {shown(name)} {state}; fetch the file again")
    for name, parameter in wanted.items():
        if stored[name].shape != parameter.shape:
            raise ValueError(
                f"{shown(path)}: {name} has shape {tuple(stored[name].shape)}, the model asks for "
                f"{tuple(parameter.shape)}: the file belongs to another model; fetch both again"
            )
        if not stored[name].is_floating_point() or not stored[name].isfinite().all():
            raise ValueError(
                f"{shown(path)}: {name} holds numbers that are not finite: fetch the file again, or save the "
                "model from a step before its training diverged"
            )


def _check_mark(path: Path, what: str, mark: torch.Tensor | None, own: torch.Tensor) -> None:
    """ValueError where a weight of the model is not the one that the links were saved beside."""
    own = own.detach().float().cpu()
    fits = mark is not None and mark.shape == own.shape
    if mark is None or not fits or not (mark - own).norm() <= ALIKE * own.norm():
        raise ValueError(
            f"{shown(path)}: {what} is another than that beside which the links were saved: they belong to "
            "another model, or to another step of its training; take both from one folder"
        )
