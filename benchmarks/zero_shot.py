"""Zero-shot classes and retrieval of a pair that learned from drawn pictures.

    python benchmarks/zero_shot.py runs/pair/1_contrast [--pictures 400]

Held-out pictures with one thing each, sorted by its colour, its shape and its place: accuracy with one prompt
a class, and with all prompts that the drawings know (`tessera classify --measure` does the same). Then recall
of pictures and captions in both directions (`tessera retrieve --recall`). Chance is one over the classes. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import PIL.Image

import tessera
from tessera.chat.message import Image
from tessera.engine.embedding.embedder import Embedder
from tessera.evaluation.embedding.folders import ClassFolders
from tessera.evaluation.embedding.measures import retrieval, zero_shot
from tessera.evaluation.embedding.pairs import CaptionedMedia
from tessera.playground.scene import draw_scene
from tessera.runtime.seeds import derive_seed

THING = re.compile(r"there is 1 thing\. a (\w+) (\w+) (\w+) ((?:in|at) the .+)\.")
SENTENCE = "there is 1 thing. a {size} {colour} {shape} {place}."
FIELDS = ("size", "colour", "shape", "place")


def drawn(folder: Path, count: int) -> list[tuple[Path, str, dict[str, str]]]:
    """Pictures with one thing each, their captions, and what the thing is."""
    found: list[tuple[Path, str, dict[str, str]]] = []
    number = 0
    while len(found) < count:
        scene = draw_scene("shapes", derive_seed("zero shot", number), level=1)
        number += 1
        if told := THING.fullmatch(scene.caption):
            (part,) = scene.media
            assert isinstance(part, Image) and isinstance(part.source, PIL.Image.Image)
            file = folder / f"{len(found):04d}.png"
            part.source.save(file)
            found.append((file, scene.caption, dict(zip(FIELDS, told.groups(), strict=True))))
    return found


def accuracy(pair: Embedder, things: list[tuple[Path, str, dict[str, str]]], field: str) -> dict[str, Any]:
    """Percent with one prompt a class, and with all combinations of the other words."""
    words = {name: sorted({told[name] for *_, told in things}) for name in FIELDS}
    classes = tuple(words[field])
    data = ClassFolders(
        tuple(file for file, *_ in things), tuple(classes.index(told[field]) for *_, told in things), classes
    )
    others = [name for name in FIELDS if name != field]
    every = [
        SENTENCE.format(**dict(zip(others, some, strict=True)), **{field: "{c}"})
        for some in product(*(words[name] for name in others))
    ]
    one, all_of_them = (zero_shot(pair, data, prompts) for prompts in (every[:1], every))
    return {
        "classes": len(classes),
        "chance": round(100 / len(classes), 1),
        "one prompt": round(one.acc1, 1),
        f"{len(every)} prompts": round(all_of_them.acc1, 1),
        "mean per class recall": round(all_of_them.mean_per_class_recall, 1),
    }


def main() -> None:
    """Print a row a question, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=int, default=400)
    given = parser.parse_args()
    pair: Any = tessera.load(given.model)
    rows: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        things = drawn(Path(folder), given.pictures)
        for field in ("colour", "shape", "size", "place"):
            rows[field] = accuracy(pair, things, field)
            print(field, rows[field])
        captions: dict[str, Path] = {}
        for file, caption, _ in things:
            captions.setdefault(caption, file)
        media = CaptionedMedia(tuple(captions.values()), tuple(captions), tuple(range(len(captions))))
        found = retrieval(pair, media)
    rows["recall"] = {
        "pairs": len(captions),
        **{f"text to picture @{k}": round(value, 1) for k, value in found.by_text.at.items()},
        **{f"picture to text @{k}": round(value, 1) for k, value in found.by_picture.at.items()},
    }
    print("recall", rows["recall"])
    print(json.dumps({"model": given.model.name, "pictures": given.pictures, **rows}))


if __name__ == "__main__":
    main()
