"""Put finished runs into the package: bfloat16 weights with a card that names commit, recipe and seed.

Command:   python -m tessera.recipes.scale_model.ship vision runs/vision/0_pairs
           python -m tessera.recipes.scale_model.ship decoder runs/text/0_text
           python -m tessera.recipes.scale_model.ship model runs/shipped/2_full --evaluation figures.json
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import FOLDERS, assets_folder, shipped_folder
from tessera.checkpoints.surgery import load_part, save_part
from tessera.families.catalogue import fresh
from tessera.models.vlm import VLM

CAN = "questions about pictures that the playground draws: shapes, short words, numbers, bar charts, clips"
CANNOT = (
    "photographs, documents, free conversation, words outside its list, languages other than simple English"
)


@dataclass(frozen=True)
class ShipArguments:
    """Ship one finished run."""

    what: Annotated[Literal["vision", "decoder", "model"], tyro.conf.Positional]
    """Which asset it becomes."""
    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the finished stage."""
    evaluation: Path | None = None
    """JSON of `tessera evaluate --json --blind`, kept in the card."""
    commit: str = "HEAD"
    """The commit that the run was made with."""


def main() -> None:
    """Read, halve the precision, write with a card."""
    given = tyro.cli(ShipArguments)
    folder = assets_folder() / FOLDERS[given.what]
    shutil.rmtree(folder, ignore_errors=True)
    commit = subprocess.check_output(["git", "rev-parse", given.commit], text=True)
    card: dict[str, Any] = {"commit": commit.strip()}
    if given.what == "model":
        loaded = load_checkpoint(given.run)
        card |= {**loaded.card, "can": CAN, "cannot": CANNOT}
        if given.evaluation:
            card["evaluation"] = json.loads(given.evaluation.read_text(encoding="utf-8"))
        save_checkpoint(
            folder, loaded.model, loaded.family, loaded.tokenizer, dtype=torch.bfloat16, card=card
        )
    else:
        model = VLM(fresh("scale_model", load_tokenizer(shipped_folder("tokenizer"))).model)
        load_part(model, given.what, given.run)
        written = next(file for name in ("part.json", "tessera.json") if (file := given.run / name).is_file())
        card |= json.loads(written.read_text(encoding="utf-8")).get("card", {})
        save_part(model, given.what, folder, torch.bfloat16, card)


if __name__ == "__main__":
    main()
