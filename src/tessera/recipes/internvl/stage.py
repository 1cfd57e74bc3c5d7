"""What was published of one stage of training, as plain values. `build` makes a recipe of it.

Nothing here needs torch, so a table of all stages is there at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2
from typing import Any, Literal, Self

from tessera.families.catalogue import get_entry
from tessera.families.entry import Entry

Part = Literal["vision", "connector", "decoder"]
Inside = Literal["experts", "attention"]
"""Of the decoder's blocks, the visual experts or the attention alone."""
PARTS: tuple[Part, ...] = ("vision", "connector", "decoder")
OWNERS = {
    "internlm": "internlm",
    "Qwen": "Qwen",
    "Phi-3": "microsoft",
    "Nous-": "NousResearch",
    "Hermes-": "NousResearch",
    "vicuna-": "lmsys",
}
"""How a language model's name begins, and who publishes it on the hub."""


@dataclass(frozen=True)
class Data:
    """What a stage learned from; the user gives a manifest of the like."""

    what: str
    share: float | None = None
    """Share of the tokens, where one was published."""
    meta: str = ""
    """Your manifest; a run does not start without one."""


@dataclass(frozen=True)
class PublishedStage:
    """One stage of one size; each number as published unless `unverified` names its field."""

    model: str
    """Name in the catalogue: architecture, template and tiles."""
    name: str
    trained: tuple[Part | Inside, ...]
    rate: float
    """Peak learning rate of all that is trained."""
    decay: float
    drop_path: float | None
    """Highest rate in the ViT; None where it has no blocks."""
    batch: int
    """Packs or samples a step, over all devices."""
    length: int
    """Tokens of a pack; where nothing was packed, most tokens of a sample."""
    data: tuple[Data, ...]
    source: str
    packed: bool = False
    steps: int | None = None
    """None: one pass over the data."""
    pack_tiles: int = 48
    picture_tiles: int = 12
    """Most tiles of a picture, besides the thumbnail."""
    warmup: int | float = 0.03
    """Steps, or a share of the stage."""
    lora_rank: int = 0
    """Above 0 the decoder's linear layers learn through factors of this rank, and all else is frozen."""
    v2pe: bool = False
    """Random increments of visual positions."""
    vision: str = ""
    """Where the ViT comes from: a name of the hub."""
    decoder: str = ""
    checkpoint: str = ""
    """Where the whole model comes from, instead of its parts."""
    after: str = ""
    """The recipe whose result is gone on from, when nobody published that."""
    vision_after: str = ""
    """The recipe that made the ViT."""
    folder: str = ""
    """Where it stands on the shelf, instead of generation and size."""
    teacher: str = ""
    """The ViT that is imitated, where a ViT learns from another."""
    template: str = ""
    """How conversations are written in this stage, where it is not the model's own way."""
    square: Literal["squeeze", "pad", "crop", ""] = ""
    """What becomes of a picture in this stage, where it is not what the model does."""
    method: str = ""
    """How it learns from pairs of answers: a name of `METHODS`."""
    tokens: str = ""
    """Tokens seen, as printed."""
    hardware: str = ""
    notes: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    """Fields that nobody published: values of the nearest published stage, yours to change."""

    @property
    def entry(self) -> Entry:
        """The model's line in the catalogue."""
        return get_entry(self.model)

    @property
    def shelf_name(self) -> str:
        """Such as internvl_2_5/8b/stage_1."""
        generation, size = self.entry.generation.replace(".", "_"), self.size.lower()
        return f"{self.folder or f'internvl_{generation}/{size}'}/{self.name}"

    @property
    def size(self) -> str:
        """Such as 8B, as the name says it; else its billions of weights."""
        if self.folder:
            return self.folder.rpartition("/")[2].upper()
        words = self.entry.base.split("-")
        named = [word for word in words if word[:-1].isdigit() and word.endswith("B")]
        return named[-1] if named else f"{self.entry.parameters()['total'] / 1e9:.0f}B"

    @property
    def sample_tokens(self) -> int:
        """Tokens of a usual sample, our estimate: half of the tiles allowed, and 256 of text."""
        return self.entry.tokens_per_tile * (2 + self.picture_tiles // 2)

    @property
    def packs(self) -> int:
        """Packs a step: those published; else about as many as hold the published samples, a power of two,
        which devices can share."""
        if self.packed:
            return self.batch
        return int(2 ** max(0, round(log2(self.batch * self.sample_tokens / self.length))))

    def learned(self) -> int:
        """Numbers that are trained: weights of the parts, or factors of LoRA."""
        decoder = self.entry.model.decoder
        width, inner = decoder.hidden_size, decoder.intermediate_size
        queries, keys = (
            decoder.head_width * heads for heads in (decoder.num_attention_heads, decoder.num_key_value_heads)
        )
        if not self.lora_rank:
            inside = {"experts": 3 * width * inner, "attention": 2 * width * (queries + keys)}
            counts = {part: decoder.num_hidden_layers * count for part, count in inside.items()}
            return sum((counts | self.entry.parameters())[part] for part in self.trained)
        sides = 2 * (width + queries) + 2 * (width + keys) + 3 * (width + inner)
        return decoder.num_hidden_layers * self.lora_rank * sides

    def state_bytes(self) -> int:
        """Least memory of all devices together: weights in bfloat16; of what is trained float32 masters, two
        moments and a gradient. Activations come on top. 0 beside a teacher: its size is not known here."""
        if self.teacher:
            return 0
        factors = self.learned() if self.lora_rank else 0
        return 2 * (self.entry.parameters()["total"] + factors) + 16 * self.learned()

    def then(self, name: str, **changes: Any) -> Self:
        """The stage behind this one: it starts from the result, and differs in these fields."""
        start = {"after": self.shelf_name, "vision": "", "decoder": "", "checkpoint": "", "vision_after": ""}
        return replace(self, **{"name": name, "notes": (), **start, **changes})


def parts_of(model: str) -> dict[str, Any]:
    """Hub names of the ViT and the language model that a released model was put together from."""
    entry = get_entry(model)
    owner = next((owner for start, owner in OWNERS.items() if entry.language.name.startswith(start)), "")
    decoder = f"{owner}/{entry.language.name}" if owner else ""
    return {"vision": f"OpenGVLab/{entry.vision.name}", "decoder": decoder}
