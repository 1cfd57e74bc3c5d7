"""A playground dataset on disk in the format of the released training data (facts 5.1 and 5.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image

from tessera.chat.message import Conversation, Image, Message, Video
from tessera.playground.parts import Scene
from tessera.playground.scene import SUITES, draw_scene
from tessera.playground.talk import caption_conversation, conversation
from tessera.runtime.seeds import derive_seed

EVEN_MIX: Mapping[str, float] = dict.fromkeys(SUITES, 1.0)
CAPTION_SHARE = 0.2
"""One record in five describes the picture; the others ask questions."""


@dataclass(frozen=True)
class Written:
    """What `write_dataset` left behind."""

    meta: Path
    annotations: tuple[Path, ...]
    records: int


def write_dataset(
    folder: str | Path,
    mix: Mapping[str, float] = EVEN_MIX,
    count: int = 1000,
    seed: int = 0,
    size: tuple[int, int] = (64, 64),
    level: int = 2,
    questions: int = 4,
) -> Written:
    """Write `count` records: PNG pictures, one JSONL a suite, and `meta.json` naming them.

    `mix` maps suites to weights; each suite gets its share of `count`, the rounding rest goes to the first
    ones. A clip becomes a folder of numbered frames. Raises ValueError for a bad mix or count.
    """
    root = Path(folder)
    shares = split_count(mix, count)
    meta: dict[str, dict[str, Any]] = {}
    annotations = []
    for suite, number in shares.items():
        path = root / f"{suite}.jsonl"
        (root / suite).mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as lines:
            for index in range(number):
                scene_seed = derive_seed("export", seed, index)
                record = write_record(root, suite, index, scene_seed, size, level, questions)
                lines.write(json.dumps(record) + "\n")
        meta[f"playground_{suite}"] = _meta_entry(path, number, suite)
        annotations.append(path)
    meta_path = root / "meta.json"
    meta_path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return Written(meta_path, tuple(annotations), sum(shares.values()))


def split_count(mix: Mapping[str, float], count: int) -> dict[str, int]:
    """Whole numbers of records by suite that add up to `count`; a weight of zero leaves a suite out."""
    unknown = sorted(set(mix) - set(SUITES))
    if unknown:
        raise ValueError(f"mix names unknown suites {unknown}: choose from {', '.join(SUITES)}")
    total = sum(mix.values())
    if count < 1 or total <= 0 or min(mix.values()) < 0:
        raise ValueError(f"count {count} and mix {dict(mix)} must be positive: give at least one record")
    shares = {suite: int(count * weight / total) for suite, weight in mix.items() if weight > 0}
    for suite in list(shares)[: count - sum(shares.values())]:
        shares[suite] += 1
    return {suite: number for suite, number in shares.items() if number}


def _meta_entry(path: Path, number: int, suite: str) -> dict[str, Any]:
    """Paths start at the meta file's folder, so that the whole dataset can be moved."""
    return {
        "root": ".",
        "annotation": path.name,
        "data_augment": suite != "clip",
        "max_dynamic_patch": 1 if suite == "clip" else 6,
        "repeat_time": 1,
        "length": number,
    }


def write_record(
    root: Path, suite: str, index: int, seed: int, size: tuple[int, int], level: int, questions: int
) -> dict[str, Any]:
    """Draw one scene, save its media below `root`, and return its JSONL record."""
    scene = draw_scene(suite, seed, size, level)
    rng = Random(derive_seed("export questions", suite, seed))
    if rng.random() < CAPTION_SHARE:
        talk = caption_conversation(scene, rng)
    else:
        talk = conversation(scene, rng.sample(scene.questions, min(questions, len(scene.questions))))
    record: dict[str, Any] = {"id": index, **_save_media(root, scene, f"{suite}/{index:06d}")}
    record["conversations"] = official_turns(talk)
    return record


def _save_media(root: Path, scene: Scene, stem: str) -> dict[str, Any]:
    """Save pictures as PNG, a clip as a folder of frames; the record's media fields."""
    first = scene.media[0]
    if isinstance(first, Video):
        (root / stem).mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(_frames(first)):
            frame.save(root / stem / f"frame_{number}.png")
        return {"video": f"{stem}/"}
    pictures = [_picture(part) for part in scene.media]
    names = [f"{stem}.png"] if len(pictures) == 1 else [f"{stem}_{i + 1}.png" for i in range(len(pictures))]
    for picture, name in zip(pictures, names, strict=True):
        picture.save(root / name)
    widths, heights = [p.width for p in pictures], [p.height for p in pictures]
    if len(pictures) == 1:
        return {"image": names[0], "width": widths[0], "height": heights[0]}
    return {"image": names, "width_list": widths, "height_list": heights}


def _picture(part: Image | Video) -> PIL.Image.Image:
    if not isinstance(part, Image) or not isinstance(part.source, PIL.Image.Image):
        raise ValueError(f"media part {part!r} is no decoded picture: export scenes of the playground only")
    return part.source


def _frames(clip: Video) -> Sequence[PIL.Image.Image]:
    if not isinstance(clip.source, tuple):
        raise ValueError(f"clip {clip.source!r} is not decoded: export scenes of the playground only")
    return clip.source


def official_turns(talk: Conversation) -> list[dict[str, str]]:
    """Turns `from` human or gpt; media stand as `<image>` and `<video>` where they are in the message."""
    return [
        {"from": "human" if message.role == "user" else "gpt", "value": _with_placeholders(message)}
        for message in talk.messages
    ]


def _with_placeholders(message: Message) -> str:
    words = {Image: "<image>", Video: "<video>"}
    return "".join(
        words[type(part)] if isinstance(part, Image | Video) else part.text for part in message.parts
    )
