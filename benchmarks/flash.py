"""A Flash model at several thresholds: visual tokens of a picture, and questions answered right.

    PYTHONPATH=src python benchmarks/flash.py runs/flash/1_routing [--count 25] [--tasks ...]

The folder is a trained Flash model. It answers the playground's held-out questions about one picture with
all tiles fine, all coarse, and by its router at absolute thresholds from 0 to 0.9 (relative 0); the shipped
model, which was imitated, answers the same. A prompt of one tile stays fine by the published rule, so
pictures are of two tiles and a thumbnail. Nothing here is timed. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import tessera
from tessera.chat.encoder import Encoder
from tessera.engine.chat_model import ChatModel
from tessera.engine.engine import Engine
from tessera.engine.resolution.looker import TileLooker
from tessera.evaluation.runner import evaluate
from tessera.models.config import VLMConfig
from tessera.models.resolution.config import ResolutionConfig
from tessera.playground.scene import SINGLE_PICTURE_TASKS

THRESHOLDS = (0.0, 0.5, 0.7, 0.9)
Look = Callable[[npt.NDArray[np.uint8]], Sequence[int]]


class Counting:
    """A look that counts the tokens that it gave."""

    def __init__(self, look: Look, usual: int) -> None:
        self.look, self.usual = look, usual
        self.tokens = self.most = 0

    def __call__(self, tiles: npt.NDArray[np.uint8]) -> Sequence[int]:
        """Tokens of each tile."""
        each = self.look(tiles)
        self.tokens += sum(each)
        self.most += self.usual * len(each)
        return each


def looks(model: ChatModel) -> dict[str, Look]:
    """All fine, all coarse, and the router at every threshold."""
    config = model.family.model
    assert isinstance(config, VLMConfig)
    found: dict[str, Look] = {
        "all fine": lambda tiles: (config.tokens_per_tile,) * len(tiles),
        "all coarse": lambda tiles: (config.coarse_tokens,) * len(tiles),
    }
    for threshold in THRESHOLDS:
        looker = TileLooker(model.loaded.model)
        looker.rule = ResolutionConfig(relative_threshold=0.0, absolute_threshold=threshold)
        found[f"router {threshold:g}"] = looker
    return found


def ask(model: ChatModel, encoder: Encoder, args: argparse.Namespace) -> float:
    """Share of questions about one picture answered right."""
    engine = Engine.of(model.loaded)
    size = tuple(args.size)
    return evaluate(engine, encoder, args.tasks, count=args.count, size=size).single_picture_mean


@torch.inference_mode()
def main() -> None:
    """Ask and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 64))
    parser.add_argument("--tasks", nargs="*", default=SINGLE_PICTURE_TASKS)
    args = parser.parse_args()
    model = tessera.load(args.folder, device="cpu")
    assert isinstance(model, ChatModel)
    told: dict[str, Any] = {}
    for name, look in looks(model).items():
        counting = Counting(look, model.encoder.tokens_per_tile)
        right = ask(model, replace(model.encoder, tile_tokens=counting), args)
        told[name] = {"right": right, "tokens": counting.tokens / counting.most}
        print(f"{name:>11}  {right:6.1%} right  {counting.tokens / counting.most:6.1%} of the visual tokens")
    shipped = tessera.load(device="cpu")
    assert isinstance(shipped, ChatModel)
    told["reference"] = {"right": ask(shipped, shipped.encoder, args), "tokens": 1.0}
    print(f"  reference  {told['reference']['right']:6.1%} right")
    print(json.dumps({"count": args.count, "results": told}))


if __name__ == "__main__":
    main()
