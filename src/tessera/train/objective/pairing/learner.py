"""The pair that a run trains, with the tokenizer that belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.bases.parts import VisionBase
from tessera.checkpoints.description import CARD_FILE
from tessera.checkpoints.pair.loading import load_pair
from tessera.checkpoints.pair.saving import write_pair
from tessera.checkpoints.shipped import shipped_folder
from tessera.checkpoints.surgery import part_tensors
from tessera.families.pair_texts import PairTexts, TextRules
from tessera.families.pairs import PairFamily, PairReading, get_pair
from tessera.models.initialise import initialise
from tessera.models.pair.pair import QllamaPair
from tessera.runtime.json_file import write_json
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Tensors
from tessera.train.objective.learner import Start, base_folder

FRESH = "scale_pair"
QUERY_SPREAD = 0.02
"""Deviation of fresh queries. Zeros, as the released class makes them, would stay alike for long: they ask
the same and differ by their positions alone, which only texts see."""


@dataclass(frozen=True)
class PairModelLearner:
    """A pair, fresh or opened; saved under the released names."""

    model: QllamaPair
    tokenizer: Tokenizer
    family: PairFamily
    reading: PairReading

    @property
    def texts(self) -> PairTexts:
        """How it reads texts."""
        config = self.reading.config
        return PairTexts(self.tokenizer, config.bos_token_id, config.eos_token_id, self.reading.rules)

    @classmethod
    def start(cls, start: Start, seed: int, still: Callable[[str], bool] | None = None) -> Self:
        """`start.checkpoint`: the folder of a pair, or a run that made one; else a fresh `start.family`, a
        toy, with the tokenizer that ships here, its ViT that of `start.vision` where one is given.
        `start.image_size`: another side of the square.

        ValueError for settings of chat models.
        """
        _require_of_pairs(start)
        if start.checkpoint:
            loaded = load_pair(base_folder(start.checkpoint, "model"), merge_lora=True)
            made = cls(loaded.model, loaded.tokenizer, loaded.family, loaded.reading)
        else:
            made = cls._fresh(start.family or FRESH, start.vision, seed)
        return made if start.image_size is None else made._resized(start.image_size)

    @classmethod
    def _fresh(cls, name: str, vision: str | None, seed: int) -> Self:
        family, config = get_pair(name)
        base = VisionBase.find(base_folder(vision, "vision")) if vision else None
        if name not in family.toys:
            raise ValueError(
                f"start.family = {name!r}: a released size begins from its files; give start.checkpoint, or "
                f"one of {', '.join(family.toys)}"
            )
        if base is not None:
            config = config.model_copy(update={"vision": base.config, **base.pixels})
        model = QllamaPair(config)
        draw = derive_seed("initialise", seed) % 2**31
        initialise(model, draw)
        generator = torch.Generator().manual_seed(draw + 1)
        with torch.no_grad():
            model.text_projection.normal_(0, config.qllama.hidden_size**-0.5, generator=generator)
            model.query_tokens.normal_(0, QUERY_SPREAD, generator=generator)
            if base is not None:
                own = dict(model.named_parameters())
                for key, value in part_tensors(
                    model.vision, "vision", base.folder, base.resized(base.config.grid)
                ):
                    own[key].copy_(value)
        tokenizer = load_tokenizer(shipped_folder("tokenizer"))
        return cls(model, tokenizer, family, PairReading(name, config, TextRules()))

    def _resized(self, side: int) -> Self:
        """The same for pictures of another side, its positions resized once."""
        before = self.reading.config
        vision = type(before.vision).model_validate(before.vision.model_dump() | {"image_size": side})
        config = before.model_copy(update={"vision": vision})
        model = QllamaPair(config)
        given = self.model.state_dict()
        name = "vision.embeddings.position_embedding"
        given[name] = self.model.vision.embeddings.positions(vision.grid, vision.grid).detach()
        model.load_state_dict(given)
        reading = replace(self.reading, config=config)
        return replace(self, model=model.to(self.model.query_tokens.dtype), reading=reading)

    def save(self, folder: Path, card: dict[str, object], tensors: Tensors) -> None:
        """The whole pair in its published layout; `tensors` are its weights by their own names."""
        write_pair(folder, tensors, self.family, self.reading, self.tokenizer)
        write_json(folder / CARD_FILE, dict(card))


def _require_of_pairs(start: Start) -> None:
    if start.checkpoint and start.vision:
        raise ValueError(f"start.vision = {start.vision!r}: a whole pair keeps its ViT; leave one out")
    for name in ("adapter", "decoder", "template", "select_layer", "content_tokens"):
        if (value := getattr(start, name)) is not None:
            raise ValueError(
                f"start.{name} = {value!r}: a pair is trained; give start.checkpoint or leave it"
            )
    if start.add_tokens or start.frozen != "stored" or start.visual_increment is not None:
        raise ValueError("start.add_tokens, frozen, visual_increment: they belong to chat models; leave them")
