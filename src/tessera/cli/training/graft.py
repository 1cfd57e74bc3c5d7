"""`tessera graft --vision RUN --decoder MODEL --out FOLDER`: a trained ViT on another language model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from tessera.checkpoints.bases.assembly import Assembly
from tessera.checkpoints.save import require_new
from tessera.cli.command import ReportingCommand
from tessera.models.accounting import count_parameters
from tessera.train.objective.learner import Start, assemble

NEXT = """next       stage 1 trains the connector alone, stage 2 everything; the ViT needs no stage 1.5 again:
           tessera train RECIPE --start.checkpoint {out}"""


@dataclass(frozen=True, kw_only=True)
class GraftCommand(ReportingCommand):
    """Put a trained ViT and a language model together, with a fresh connector: progressive scaling."""

    vision: str
    """The ViT: a run, a model or an InternViT, as a folder or hub name; or "shipped"."""
    decoder: str
    """The language model, or a model that has one: a folder or hub name; or "shipped"."""
    out: Path
    """Folder to write; it must not be there yet, or be empty."""
    family: str | None = None
    """Name of `tessera models` whose template and tiles the model gets."""
    template: str | None = None
    """Name of the conversation template, instead of the language model's usual one."""
    image_size: int | None = None
    """Side of a tile in pixels; the ViT's position embedding is resized to it."""
    select_layer: int | None = None
    """State of the ViT that the connector reads, -1 the last."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Cast the weights; without it bfloat16 where both parts are stored in it, else float32."""
    seed: int = 0
    """Of the connector's weights."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: True}

    def run(self) -> int:
        start = Start(
            vision=self.vision,
            decoder=self.decoder,
            family=self.family,
            template=self.template,
            image_size=self.image_size,
            select_layer=self.select_layer,
        )
        require_new(self.out)
        made = assemble(start)
        dtype = getattr(torch, self.dtype) if self.dtype else made.dtype
        card = {"grafted": {"vision": self.vision, "decoder": self.decoder, "seed": self.seed}}
        made.write(self.out, self.seed, dtype, card)
        told = facts(made, dtype) | {"out": self.out}
        self.tell(lambda: told, lambda: print("\n".join(lines(told))))
        return 0


def facts(made: Assembly, dtype: torch.dtype) -> dict[str, Any]:
    """What was put together."""
    family, counts = made.family, count_parameters(made.family.model)
    parts = {
        name: {"parameters": counts[name], "shape": shape}
        for name, shape in family.model.describe_parts().items()
    }
    return {
        "name": family.name,
        "parts": parts,
        "parameters": counts["total"],
        "dtype": str(dtype).removeprefix("torch."),
        "template": family.template,
        "tile": f"{family.model.tile_side} px, {family.model.tokens_per_tile} tokens",
        "tiles": family.tiling.max_tiles,
        "vocabulary": made.tokenizer.vocab_size,
        "new_tokens": 0 if made.new is None else len(made.new.pieces),
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same in words, and what comes next."""
    parts = (
        f"{name:<10} {part['parameters'] / 1e6:,.2f} M parameters: {part['shape']}"
        for name, part in told["parts"].items()
    )
    return [
        f"{told['name']}: {told['parameters'] / 1e6:,.2f} M parameters in {told['dtype']}",
        *parts,
        f"prompt     template {told['template']}, {told['vocabulary']:,} tokens, {told['new_tokens']} new",
        f"pictures   {told['tile']} a tile, up to {told['tiles']} tiles",
        f"written    {told['out']}; the connector is drawn at random",
        NEXT.format(out=told["out"]),
    ]
