"""What comes with the package: the trained scale model, its pretrained parts and its tokenizer."""

from pathlib import Path
from typing import Literal

Shipped = Literal["model", "vision", "decoder", "tokenizer"]
FOLDERS: dict[Shipped, str] = {
    "model": "scale_model",
    "vision": "scale_vision",
    "decoder": "scale_decoder",
    "tokenizer": "tokenizer",
}


def shipped_folder(what: Shipped = "model") -> Path:
    """Folder in the package; ValueError when this installation does not carry it."""
    folder = assets_folder() / FOLDERS[what]
    if not folder.is_dir():
        raise ValueError(
            f"this installation carries no trained {what} ({folder.name}): "
            "make one with `tessera train shipped`, or give a checkpoint folder"
        )
    return folder


def assets_folder() -> Path:
    """Where shipped files lie, or are written by the recipes that make them."""
    return Path(__file__).resolve().parents[1] / "assets"
