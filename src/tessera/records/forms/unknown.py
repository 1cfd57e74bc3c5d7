"""Keys that a form doesn't know but that hold something needed: media, system texts, slips of the pen.

Numbers, ids, scores and other words about a record stay ignored, as public annotations carry many.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import Any, Literal

from tessera.chat.openai import CLIPS, PICTURES, SOUNDS
from tessera.records.faults import Reason
from tessera.records.files.places import OutsideRoot, inside
from tessera.records.forms.preferences.slips import ANSWERS, meant_pair
from tessera.records.record import Parse, is_empty, listed
from tessera.runtime.shown import shown

Kind = Literal["image", "video", "audio", "system", ""]

LONGEST_KEY, LONGEST_NAME = 64, 1024
"""Most characters of a key, and of a file's name, that are looked at."""
NAMING: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "images", "image_info"),
    "video": ("video", "videos"),
    "audio": ("audio", "audios"),
}
"""Kind of media -> the keys that name it, where a form knows them."""
ABOUT = {
    *("id", "ids", "source", "sources", "dataset", "origin", "url", "link"),
    *("license", "author", "thumbnail"),
}
"""Keys that tell of a record: a name of a file that isn't there is no fault under them."""
TURN_KEYS = {"from", "value", "role", "content"}
STRUCTURE: Mapping[str, type] = {
    "conversations": list, "messages": list, "texts": list, "text_list": list, "image_info": list,
    "history": list, "objects": dict, "clip": list,
}  # fmt: skip
"""Keys whose slips of the pen are told, and what stands under them."""
_FILES = "(?:path|file|name|url|uri|src|list|data|bytes|base64|b64)*s?"
_NAMES: Mapping[Kind, re.Pattern[str]] = {
    "image": re.compile(f"(?:input)?(?:image|img|picture|pic|photo)s?{_FILES}"),
    "video": re.compile(f"(?:input)?(?:video|vid|clip|movie|frame)s?{_FILES}"),
    "audio": re.compile(f"(?:input)?(?:audio|sound|speech)s?{_FILES}"),
    "system": re.compile("(?:sys|system)(?:prompt|message|msg|text|instruction)?s?|instructions?"),
}
_ENDINGS: Mapping[Kind, re.Pattern[str]] = {
    "image": re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic|jfif)$", re.IGNORECASE),
    "video": re.compile(r"\.(?:mp4|m4v|webm|mkv|avi|mov|mpe?g|flv|wmv)$", re.IGNORECASE),
    "audio": re.compile(r"\.(?:wav|mp3|flac|ogg|opus|m4a|aac)$", re.IGNORECASE),
}


def check_keys(parse: Parse, fields: Mapping[str, Any], known: Collection[str], untrained: str = "") -> None:
    """A fault for every unknown key of a record, or of one of its turns, under which something needed stands.

    Media are needed where the record names none of their kind under a key that its form knows. untrained: the
    key by which a turn of this form says that it is not to be trained.
    """
    named = set(_named_kinds(fields, known))
    _check(parse, "", fields, {*known, "text_only", "train_turn_ends"}, named)
    for key in ("conversations", "messages", "prompt", "chosen", "rejected", "rejected_messages"):
        turns = fields.get(key) if key in known else None
        for number, turn in enumerate(turns) if isinstance(turns, list) else ():
            if isinstance(turn, Mapping) and not turn.keys() <= TURN_KEYS:
                where = f"{key}[{number}]."
                _check(parse, where, turn, {*TURN_KEYS, untrained}, {*named, "system"})
                _check_untrained(parse, where, turn, untrained)
    for key, kind in STRUCTURE.items():
        if key in known and is_empty(fields.get(key)):
            _check_slips(parse, fields, known, key, kind)
    if not any(not is_empty(fields.get(key)) for key in ANSWERS):
        for key in ANSWERS:
            _check_slips(parse, fields, known, key, str | dict | list)


def _check_untrained(parse: Parse, where: str, turn: Mapping[str, Any], untrained: str) -> None:
    """A fault for an answer that is not to be trained, said by the key of another form."""
    for key in ("loss", "weight"):
        if key != untrained and turn.get(key) in (0, False) and key not in parse.place.ignored_keys:
            advice = f"write it as {untrained!r}" if untrained else "write the record in form openai or swift"
            told = f"{shown(turn[key])} is not read: the answer would be trained"
            parse.fault(f"{where}{key}", told, Reason.UNKNOWN_KEY, advice)


def meant_keys(record: object) -> str:
    """What to write instead, where keys of a record of no form are nearly known ones; "" when they aren't."""
    keys = [str(key) for key in record if len(str(key)) <= LONGEST_KEY] if isinstance(record, dict) else []
    if told := meant_pair(keys):
        return told
    if {"question", "answer"} <= {key.lower() for key in keys}:
        return "write 'question' and 'answer' as 'query' and 'response'; see docs/data_formats.md"
    known = (*STRUCTURE, "conversation", "response", "query", "caption")
    for key in keys[:20]:
        if key not in known and (meant := get_close_matches(key.lower(), known, 1, 0.8)):
            return f"write the key {shown(key)} as {meant[0]!r}; see docs/data_formats.md"
    return ""


def _check(parse: Parse, where: str, fields: Mapping[str, Any], known: set[str], named: set[str]) -> None:
    for key, value in fields.items():
        if key in known or key in parse.place.ignored_keys or len(str(key)) > LONGEST_KEY or is_empty(value):
            continue
        kind = _kind_of_key(str(key))
        if kind == "system" and isinstance(value, str) and not parse.place.pretraining and kind not in named:
            advice = f"{_system_place(known)}, or list the key under 'ignored_keys' in the manifest"
            parse.fault(f"{where}{key}", f"{shown(value)} is not read", Reason.UNKNOWN_KEY, advice)
        elif kind in ("image", "video", "audio") and kind not in named and _names_file(value):
            _tell(parse, f"{where}{key}", value, kind)
        elif (meant := _kind_of_value(parse, str(key), value)) and not named & {"image", "video", "audio"}:
            _tell(parse, f"{where}{key}", value, meant)


def _tell(parse: Parse, where: str, value: object, kind: Kind) -> None:
    """The fault of media that would be dropped."""
    if parse.text_only and kind != "audio":
        return
    unless = "where it is not to be shown, list the key under 'ignored_keys' in the manifest"
    advice = f"write it as {kind!r}; {unless}"
    parse.fault(where, f"{shown(value)} is not read", Reason.UNKNOWN_KEY, advice)


def _check_slips(
    parse: Parse, fields: Mapping[str, Any], known: Collection[str], key: str, kind: type | UnionType
) -> None:
    """A fault for a key that is nearly the one that is missing, with a value of its kind."""
    for name, value in fields.items():
        if name in known or name in parse.place.ignored_keys or len(str(name)) > LONGEST_KEY:
            continue
        if isinstance(value, kind) and value and get_close_matches(str(name).lower(), (key,), 1, 0.85):
            told = f"unknown, and {key!r} is missing"
            parse.fault(str(name), told, Reason.UNKNOWN_KEY, f"write the key as {key!r}")


def _named_kinds(fields: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    """Of what the record names something under the keys of its form."""
    for kind, keys in NAMING.items():
        if any(key in known and not is_empty(fields.get(key)) for key in keys):
            yield kind
    messages = fields.get("messages")
    entries = messages if isinstance(messages, list) else []
    for content in (entry.get("content") for entry in entries if isinstance(entry, Mapping)):
        types = [part.get("type") for part in listed(content) if isinstance(part, Mapping)]
        yield from ("image" for kind in types if kind in PICTURES)
        yield from ("video" for kind in types if kind in CLIPS)
        yield from ("audio" for kind in types if kind in SOUNDS)


@lru_cache(maxsize=1024)
def _kind_of_key(key: str) -> Kind:
    """What a key seems to name, however it is spelled, a letter more or less."""
    plain = re.sub(r"[\W_]", "", key).lower()
    near = get_close_matches(plain, ("image", "images", "video", "videos", "system"), 1, 0.85)
    names = (plain, *near)
    return next((kind for kind, name in _NAMES.items() if any(map(name.fullmatch, names))), "")


def _names_file(value: object) -> bool:
    """Whether a value names a file or holds its bytes: numbers, and texts about a picture, do not."""
    match value:
        case str() | bytes():
            return True
        case Mapping():
            return any(not is_empty(value.get(key)) for key in ("bytes", "path", "url"))
        case list():
            return any(_names_file(entry) for entry in value if not isinstance(entry, list))
    return False


def _kind_of_value(parse: Parse, key: str, value: object) -> Kind:
    """What a value under any key is by the end of its name; there must be such a file where that proves
    little."""
    texts = [text for text in listed(value)[:8] if isinstance(text, str) and len(text) <= LONGEST_NAME]
    for text in texts:
        name = text.partition("?")[0] if "://" in text else text
        kind = next((kind for kind, ending in _ENDINGS.items() if ending.search(name)), None)
        if kind and (not (key.lower() in ABOUT or re.search(r"\s", text)) or _is_there(parse, text)):
            return kind
    return ""


def _is_there(parse: Parse, name: str) -> bool:
    """Whether a local file of this name lies below the root."""
    try:
        return os.path.isfile(inside(parse.place.root, name))
    except (OutsideRoot, ValueError):
        return False


def _system_place(known: Collection[str]) -> str:
    """Where a form has its system text."""
    if "system" in known:
        return "write the key as 'system'"
    if "conversations" in known:
        return "write the text as a first turn from 'system'"
    if "messages" in known:
        return "write the text as a first message of role 'system'"
    return "set 'system' for the source in the manifest"
