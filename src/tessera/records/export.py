"""A playground dataset on disk, in the format of the released training data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image

from tessera.chat.message import Audio, Image, Video
from tessera.playground.parts import Scene
from tessera.playground.scene import ALL_SUITES, SUITES, draw_scene
from tessera.playground.talk import caption_conversation, conversation
from tessera.records.writing import internvl_record, json_line, marked_turns, write_meta
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
    for suite, number in shares.items():
        (root / suite).mkdir(parents=True, exist_ok=True)
        with (root / f"{suite}.jsonl").open("wb") as lines:
            for index in range(number):
                scene_seed = derive_seed("export", seed, index)
                scene = draw_scene(suite, scene_seed, size, level)
                rng = Random(derive_seed("export questions", suite, scene_seed))
                lines.write(json_line(_write_scene(root, scene, index, questions, rng)))
    write_meta(root / "meta.json", {f"playground_{suite}": _entry(suite, n) for suite, n in shares.items()})
    annotations = tuple(root / f"{suite}.jsonl" for suite in shares)
    return Written(root / "meta.json", annotations, sum(shares.values()))


def split_count(mix: Mapping[str, float], count: int) -> dict[str, int]:
    """Whole numbers of records by suite that add up to `count`; a weight of zero leaves a suite out."""
    unknown = sorted(set(mix) - set(ALL_SUITES))
    if unknown:
        raise ValueError(f"mix names unknown suites {unknown}: choose from {', '.join(ALL_SUITES)}")
    total = sum(mix.values())
    if count < 1 or total <= 0 or min(mix.values()) < 0:
        raise ValueError(f"count {count} and mix {dict(mix)} must be positive: give at least one record")
    shares = {suite: int(count * weight / total) for suite, weight in mix.items() if weight > 0}
    for suite in list(shares)[: count - sum(shares.values())]:
        shares[suite] += 1
    return {suite: number for suite, number in shares.items() if number}


def _entry(suite: str, number: int) -> dict[str, Any]:
    """Paths start at the meta file's folder, so that the whole dataset can be moved."""
    return {
        "root": ".",
        "annotation": f"{suite}.jsonl",
        "data_augment": suite != "clip",
        "max_dynamic_patch": 1 if suite == "clip" else 6,
        "repeat_time": 1,
        "length": number,
    }


def _write_scene(root: Path, scene: Scene, index: int, questions: int, rng: Random) -> dict[str, Any]:
    """A scene's record; its media are saved below `root`: pictures as PNG, a clip as a folder of frames."""
    if rng.random() < CAPTION_SHARE:
        talk = caption_conversation(scene, rng)
    else:
        talk = conversation(scene, rng.sample(scene.questions, min(questions, len(scene.questions))))
    turns, stem = marked_turns(talk), f"{scene.suite}/{index:06d}"
    sounds = [part.source for part in scene.media if isinstance(part, Audio)]
    if isinstance(clip := scene.media[0], Video):
        (root / stem).mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(_drawn(clip)):
            frame.save(root / stem / f"frame_{number}.png")
        return internvl_record(index, turns, videos=[f"{stem}/"])
    pictures = [picture for part in scene.media if isinstance(part, Image) for picture in _drawn(part)]
    names = [f"{stem}.png"] if len(pictures) == 1 else [f"{stem}_{i + 1}.png" for i in range(len(pictures))]
    for picture, name in zip(pictures, names, strict=True):
        picture.save(root / name)
    heard = [f"{stem}.wav"] if len(sounds) == 1 else [f"{stem}_{i + 1}.wav" for i in range(len(sounds))]
    for sound, name in zip(sounds, heard, strict=True):
        assert isinstance(sound, bytes)
        (root / name).write_bytes(sound)
    sizes = [picture.size for picture in pictures]
    return internvl_record(index, turns, images=names, sizes=sizes, audios=heard)


def _drawn(part: Image | Video) -> Sequence[PIL.Image.Image]:
    """The picture, or the frames of a clip."""
    sources = part.source if isinstance(part.source, tuple) else (part.source,)
    drawn = [source for source in sources if isinstance(source, PIL.Image.Image)]
    if len(drawn) == len(sources):
        return drawn
    raise ValueError(f"media part {part!r} is not decoded: export scenes of the playground only")
