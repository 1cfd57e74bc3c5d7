"""Pictures or clips and the captions that belong to them, from the files that retrieval is published with.

JSONL ({"image" or "video", "caption": text or list}), a JSON list of the same (MSR-VTT), COCO's captions,
clip_benchmark's `image_paths` and `annotations` (XTD), lines of `picture.jpg,caption` (Flickr30k), and XTD's
own two text files. Sources: docs/facts/embedding.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tessera.engine.embedding.lines import lines_of
from tessera.runtime.shown import shown

MEDIA = ("image", "video", "picture", "clip")
CAPTIONS = ("caption", "captions", "text")
Pair = tuple[object, object]
"""A file's name, and a caption or a list of captions."""


@dataclass(frozen=True)
class CaptionedMedia:
    """Files in order of first mention, captions in order, and which file each caption belongs to."""

    media: tuple[Path, ...]
    captions: tuple[str, ...]
    owners: tuple[int, ...]


def read_pairs(file: Path, folder: Path | None = None, names: Path | None = None) -> CaptionedMedia:
    """The pairs of a file; media lie below `folder`, by default beside the file.

    names: a file with the media's names, a line for each line of captions. ValueError naming file and line.
    """
    root = file.parent if folder is None else folder
    pairs = list(_with_names(file, names) if names else _pairs(file))
    places: dict[str, int] = {}
    captions: list[str] = []
    owners: list[int] = []
    for number, (name, given) in enumerate(pairs, 1):
        texts = given if isinstance(given, list) else [given]
        said = [text for text in texts if isinstance(text, str) and text.strip()]
        if not isinstance(name, str) or not name or not said or len(said) < len(texts):
            what = f"{shown(name)}, {shown(given)}; give the name of a file, and texts"
            raise ValueError(f"{shown(file)} pair {number}: {what}")
        captions += said
        owners += [places.setdefault(name, len(places))] * len(said)
    if not captions:
        raise ValueError(f"{shown(file)}: no pairs in it")
    media = tuple(root / name for name in places)
    if missing := next((path for path in media if not path.exists()), None):
        raise ValueError(f"{shown(missing)} is not there: name the folder of the pictures with --pictures")
    return CaptionedMedia(media, tuple(captions), tuple(owners))


def _with_names(file: Path, names: Path) -> Iterator[Pair]:
    files, texts = (list(lines_of(path)) for path in (names, file))
    if len(files) != len(texts):
        raise ValueError(f"{shown(names)} has {len(files)} lines, {shown(file)} {len(texts)}; give as many")
    return zip(files, texts, strict=True)


def _pairs(file: Path) -> Iterable[Pair]:
    if file.suffix.lower() == ".jsonl":
        return _records(file, (_parsed(file, line) for line in lines_of(file) if line.strip()))
    if file.suffix.lower() in (".txt", ".csv"):
        return _lines(file)
    content = _parsed(file, "\n".join(lines_of(file)))
    if isinstance(content, list):
        return _records(file, content)
    if isinstance(content, dict) and {"image_paths", "annotations"} <= content.keys():
        return _side_by_side(file, content["image_paths"], content["annotations"])
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _coco(file, content)
    raise ValueError(f"{shown(file)}: neither COCO's captions, nor image_paths and annotations, nor a list")


def _side_by_side(file: Path, names: object, texts: object) -> Iterable[Pair]:
    """clip_benchmark's two lists."""
    if not isinstance(names, list) or not isinstance(texts, list) or len(names) != len(texts):
        raise ValueError(f"{shown(file)}: image_paths and annotations must be lists of one length; mend them")
    return zip(names, texts, strict=True)


def _parsed(file: Path, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shown(file)}: {shown(text)} is no JSON ({shown(error)})") from error


def _records(file: Path, records: Iterable[object]) -> Iterator[Pair]:
    for number, record in enumerate(records, 1):
        told = record if isinstance(record, dict) else {}
        name, given = (next((told[key] for key in keys if key in told), None) for keys in (MEDIA, CAPTIONS))
        if name is None or given is None:
            raise ValueError(f'{shown(file)} record {number}: needs "image" or "video", and "caption"')
        yield name, given


def _lines(file: Path) -> Iterator[Pair]:
    """A head, then `name,caption`; the first comma ends the name, captions may have more."""
    lines = lines_of(file)
    head = next(lines, "")
    if head.strip() and ("," not in head or Path(head.partition(",")[0]).suffix):
        raise ValueError(f"{shown(file)} line 1: {shown(head.strip())} is no head; put image,caption above")
    for number, line in enumerate(lines, 2):
        name, comma, caption = line.strip().partition(",")
        if line.strip() and not comma:
            raise ValueError(f"{shown(file)} line {number}: {shown(line.strip())}; write name,caption")
        if comma:
            yield name, caption


def _coco(file: Path, content: dict[str, list[dict[str, object]]]) -> Iterator[Pair]:
    """Pictures in the order of `images`, each with its captions; those without are left out."""
    texts: dict[object, list[object]] = {}
    try:
        for note in content["annotations"]:
            texts.setdefault(note["image_id"], []).append(note["caption"])
        for image in content["images"]:
            if image["id"] in texts:
                yield image["file_name"], texts[image["id"]]
    except KeyError as error:
        raise ValueError(f"{shown(file)}: {error} is missing from a picture or a caption; add it") from error
    except TypeError as error:
        raise ValueError(
            f"{shown(file)}: images and annotations must be lists of objects; mend them"
        ) from error
