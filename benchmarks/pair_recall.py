"""Retrieval on held-out drawn pairs: what each stage of a run of `scale_pair` knows.

    python benchmarks/pair_recall.py runs/pair [--pairs 200] [--level 1]

Pictures and captions were drawn for nothing else, no caption twice. Recall at 1 and 5, picture to text and
back, for every stage of the run and both ways to embed a picture; then captions of five pictures. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import PIL.Image
import torch

import tessera
from tessera.chat.message import Image
from tessera.engine.pair.model import PairModel
from tessera.playground.scene import draw_scene
from tessera.runtime.seeds import derive_seed


def pairs(count: int, level: int) -> tuple[list[PIL.Image.Image], list[str]]:
    """Pictures with captions that differ."""
    found: dict[str, PIL.Image.Image] = {}
    number = 0
    while len(found) < count:
        scene = draw_scene("shapes", derive_seed("held out", number), level=level)
        (part,) = scene.media
        assert isinstance(part, Image) and isinstance(part.source, PIL.Image.Image)
        found.setdefault(scene.caption, part.source)
        number += 1
    return list(found.values()), list(found)


def recalls(scores: torch.Tensor) -> dict[str, float]:
    """Percent of rows whose own column is among the best k, and of columns."""
    told = {}
    for name, table in (("to text", scores), ("to picture", scores.T)):
        rank = (table > table.diagonal()[:, None]).sum(1)
        told |= {f"{name} @{k}": round(100 * float((rank < k).float().mean()), 1) for k in (1, 5)}
    return told


def main() -> None:
    """Print a row a stage and a way, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--level", type=int, default=1)
    given = parser.parse_args()
    images, captions = pairs(given.pairs, given.level)
    rows: dict[str, dict[str, float]] = {}
    for folder in sorted(path for path in given.run.iterdir() if path.name[:1].isdigit()):
        model = tessera.load(folder)
        assert isinstance(model, PairModel)
        texts = model.embed_texts(captions)
        for mode in model.modes:
            rows[f"{folder.name} {mode}"] = recalls(model.embed_images(images, mode) @ texts.T)
            print(folder.name, mode, rows[f"{folder.name} {mode}"])
    written = model.caption(images[:5])
    for caption, told in zip(captions, written, strict=False):
        print(f"{caption!r}: {told!r}")
    print(json.dumps({"recall": rows, "pairs": given.pairs, "level": given.level}))


if __name__ == "__main__":
    main()
