"""The pair as people hold it: pictures and texts in, vectors and captions out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from tessera.chat.message import PictureSource
from tessera.checkpoints.pair.loading import LoadedPair
from tessera.engine.embedding.embedder import Fit
from tessera.engine.pair.beam import BeamConfig
from tessera.engine.pair.captions import caption_states
from tessera.imaging.decode import decode_image
from tessera.imaging.squares import to_square
from tessera.models.pair.pair import MODES, Mode
from tessera.models.vlm import PATCHES_AT_ONCE, PATCHES_AT_ONCE_ON_CPU
from tessera.nn.attention.layout import Packed
from tessera.runtime.config import first_fault
from tessera.runtime.shown import shown

TEXT_TOKENS_AT_ONCE = 2**12


class NotOfPairs(AttributeError, ValueError):
    """What chat models have and a pair has not; also a ValueError, so that commands tell it in a line."""


class PairModel:
    """InternVL 1.0's pair, as `tessera.load` opens it; an `Embedder` that also writes captions."""

    def __init__(self, opened: LoadedPair) -> None:
        self.opened = opened
        self.model, self.texts = opened.model, opened.texts

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") or "opened" not in self.__dict__:
            raise AttributeError(name)
        raise NotOfPairs(
            f"{self.name} is a contrastive pair, which has no {name!r}: it embeds pictures and texts and "
            "writes captions (docs/pair.md); give a chat model to talk with"
        )

    def __repr__(self) -> str:
        return self.opened.summary

    @property
    def name(self) -> str:
        """What was opened."""
        return self.opened.reading.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the folder and what was made of it."""
        return self.opened.notes

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.opened.config.clip_embed_dim

    @property
    def side(self) -> int:
        """Side of the square, in pixels, that a picture becomes."""
        return self.opened.config.vision.image_size

    @property
    def modes(self) -> tuple[str, ...]:
        """`c`: the ViT alone, InternVL-C; `g`: with the queries, InternVL-G."""
        return MODES

    @cached_property
    def fingerprint(self) -> str:
        """Of weight files, number format, config and rules for texts."""
        said = self.opened.config.model_dump_json() + self.opened.reading.rules.model_dump_json()
        kinds = sorted({str(each.dtype) for each in (*self.model.parameters(), *self.model.buffers())})
        return hashlib.sha256(f"{said} {kinds} {self.opened.digest}".encode()).hexdigest()[:16]

    def embed_images(
        self, images: Sequence[PictureSource], mode: str = "c", *, fit: Fit = "square", unit: bool = True
    ) -> torch.Tensor:
        """Pictures to float32 [N, W] on the CPU; as `Embedder` says.

        mode: "c" or "g". fit: squeezed into the square, as retrieval was published, or its middle, as
        classification was. Without `unit` a row of "c" is what the head gives, one of "g" the sum of two unit
        vectors. ValueError for another mode and for a picture that cannot be read, by its place.
        """
        chosen = _mode(mode)
        with torch.inference_mode():
            rows = [
                self.model.project_images(self.model.look(tiles), chosen).float().cpu()
                for tiles in self.squares(images, fit)
            ]
        return _rows(rows, self.width, unit)

    def embed_texts(self, texts: Sequence[str], *, unit: bool = True) -> torch.Tensor:
        """Texts without prefix to float32 [N, W] on the CPU, by the state of their end token."""
        ids = [self.texts.contrast(text) for text in _words(texts)]
        with torch.inference_mode():
            rows = [self._project(part).float().cpu() for part in _portions(ids)]
        return _rows(rows, self.width, unit)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens that are read of each text, prefix, begin and end included."""
        return self.texts.count(_words(texts))

    def scale(self) -> float:
        """exp(logit_scale)."""
        return float(self.model.scale().detach())

    def similarity(
        self, images: Sequence[PictureSource], texts: Sequence[str], mode: str = "c", *, fit: Fit = "square"
    ) -> torch.Tensor:
        """float32 [N, M]: the scaled products of unit rows; a softmax over texts gives InternVL's odds."""
        seen, read = self.embed_images(images, mode, fit=fit), self.embed_texts(texts)
        return self.scale() * seen @ read.T

    def caption(
        self,
        images: Sequence[PictureSource],
        prompt: str | None = None,
        beams: int = 5,
        min_new_tokens: int = 8,
        max_new_tokens: int = 30,
        length_penalty: float = 1.0,
        *,
        fit: Fit = "square",
    ) -> list[str]:
        """A caption of each picture by beam search; the defaults are those of the published evaluation.

        prompt: words that ask for it, None "English caption:". Lengths count new tokens with the eos.
        ValueError naming the setting that cannot be, and a picture that cannot be read.
        """
        config = _beam_config(beams, min_new_tokens, max_new_tokens, length_penalty)
        asked, eos = self._asked(prompt, config.max_new_tokens), self.texts.eos
        found: list[str] = []
        with torch.inference_mode():
            for tiles in self.squares(images, fit):
                best = caption_states(self.model, self.model.look(tiles), asked, config, eos)
                found += [self.texts.decode(one.ids) for one in best]
        return found

    def squares(self, images: Sequence[PictureSource], fit: Fit = "square") -> Iterator[torch.Tensor]:
        """uint8 [n, S, S, 3], as many pictures at a time as go through the ViT together."""
        on_cpu = self.model.query_tokens.device.type == "cpu"
        patches = PATCHES_AT_ONCE_ON_CPU if on_cpu else PATCHES_AT_ONCE
        each = max(1, patches // self.model.vision.patches)
        _listed("images", images, "pictures")
        for start in range(0, len(images), each):
            portion = range(start, min(start + each, len(images)))
            yield torch.from_numpy(np.stack([self._square(images, place, fit) for place in portion]))

    def _square(self, images: Sequence[PictureSource], place: int, fit: Fit) -> np.ndarray:
        try:
            return to_square(decode_image(images[place]), self.side, fit)
        except ValueError as error:
            raise ValueError(f"images[{place}]: {error}") from error

    def _asked(self, prompt: str | None, new: int) -> list[int]:
        """The prompt's ids. ValueError where queries, prompt and caption have no positions."""
        if not isinstance(prompt, str | None):
            raise ValueError(f"prompt = {shown(prompt)}: give a text, or None for the published one")
        ids, longest = self.texts.prompt(prompt), self.opened.config.qllama.longest_context
        if (whole := self.opened.config.num_query_token + len(ids) + new) > longest:
            raise ValueError(
                f"prompt, max_new_tokens: {whole} positions with the queries, but the model was made for "
                f"{longest}: shorten the prompt, or ask for fewer tokens"
            )
        return ids

    def _project(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        flat = torch.tensor([token for text in ids for token in text])
        return self.model.project_texts(flat, Packed(tuple(map(len, ids))))


def _beam_config(beams: int, shortest: int, longest: int, penalty: float) -> BeamConfig:
    try:
        return BeamConfig(
            beams=beams, min_new_tokens=shortest, max_new_tokens=longest, length_penalty=penalty
        )
    except ValidationError as error:
        raise ValueError(f"caption: {first_fault(error)}") from error


def _mode(mode: str) -> Mode:
    if mode not in MODES:
        raise ValueError(f"mode = {mode!r}: give 'c' (the ViT alone) or 'g' (with the queries)")
    return mode


def _words(texts: object) -> list[str]:
    """The texts. ValueError for something that is no list of strings."""
    words = list(_listed("texts", texts, "strings"))
    strange = next((place for place, text in enumerate(words) if not isinstance(text, str)), None)
    if strange is not None:
        raise ValueError(f"texts holds {type(words[strange]).__name__} at {strange}: give a list of strings")
    return words


def _listed(field: str, given: object, what: str) -> Sequence[Any]:
    """A sequence as it is. ValueError for one thing, and a string, which would be read letter by letter."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ValueError(f"{field} = {shown(given)}: give a list of {what}")
    return given


def _portions(ids: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Texts in order, a few thousand tokens at a time."""
    portion: list[list[int]] = []
    for one in ids:
        if portion and sum(map(len, portion)) + len(one) > TEXT_TOKENS_AT_ONCE:
            yield portion
            portion = []
        portion.append(one)
    if portion:
        yield portion


def _rows(rows: Sequence[torch.Tensor], width: int, unit: bool) -> torch.Tensor:
    found = torch.cat(list(rows)) if rows else torch.zeros(0, width)
    return F.normalize(found, dim=-1) if unit else found
