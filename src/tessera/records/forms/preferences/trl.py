"""TRL's preference form (docs/facts/preferences.md): `prompt`, `chosen` and `rejected`, texts or messages.

Without a prompt, or with one that is repeated as a text, both sides are whole conversations with the same
beginning. `images` fill parts of type `image` in order; where all contents are texts, pictures without a mark
go in front of the first question, as TRL puts them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from tessera.chat.message import Message, Role
from tessera.records.faults import Reason
from tessera.records.forms import openai, swift
from tessera.records.forms.preferences import mmpr
from tessera.records.forms.preferences.answers import Placed, is_whole_pair, parting, set_rejected, the_answer
from tessera.records.forms.turns import check_order, place_media, read_media, read_placed, read_turn
from tessera.records.record import Parse, is_empty
from tessera.runtime.shown import shown

KEYS = frozenset(("prompt", "chosen", "rejected", "messages", "image", "images", "video", "videos"))
_TURN_KEYS = ("role", "content")


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The prompt and the chosen answer, as far as they are sound; `parse` gets the rejected one."""
    if all(isinstance(fields.get(key), str) for key in ("prompt", "chosen", "rejected")):
        return mmpr.read_texts(parse, fields, "prompt", "missing")
    found = _sides(parse, fields)
    if found is None:
        return ()
    turns, rejected = found
    if any(isinstance(entry.get("content"), list) for _, entry in (*turns, rejected) if _is_turn(entry)):
        pictures = {"images": fields.get("image")} if is_empty(fields.get("images")) else {}
        return openai.read_placed(parse, turns, {**fields, **pictures}, rejected)
    return _read_texts(parse, turns, rejected, fields)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    return is_whole_pair(record) and not isinstance(record.get("question"), str)


def _sides(parse: Parse, fields: Mapping[str, Any]) -> tuple[list[Placed], Placed] | None:
    """All turns up to the chosen answer, and the rejected one; None with a fault."""
    sides = [_placed(parse, fields.get(key), key, "assistant") for key in ("chosen", "rejected")]
    if not all(sides):
        return None
    prompt = fields.get("prompt")
    whole = all(_is_turn(side[0][1]) and side[0][1].get("role") != "assistant" for side in sides)
    if whole and not isinstance(prompt, list):
        return _shared(parse, *sides)
    if is_empty(prompt):
        advice = "write the question under 'prompt', or let both sides be whole conversations"
        parse.fault("prompt", f"{shown(prompt)} where the question is due", advice=advice)
        return None
    for side in sides:
        if len(side) > 1:
            told = f"{len(side) - 1} more turns behind the answer"
            parse.fault(side[1][0], told, Reason.ROLE_ORDER, "let each side be one answer")
    asked = _placed(parse, prompt, "prompt", "user")
    return None if parse.faults else ([*asked, sides[0][0]], sides[1][0])


def _shared(parse: Parse, chosen: list[Placed], rejected: list[Placed]) -> tuple[list[Placed], Placed] | None:
    """Two whole conversations that are the same up to their last turns; None with a fault."""
    if found := parting([entry for _, entry in chosen], [entry for _, entry in rejected]):
        parse.fault(rejected[found[0]][0], found[1], Reason.OTHER_PROMPT)
        return None
    return chosen, rejected[-1]


def _placed(parse: Parse, value: object, key: str, role: Role) -> list[Placed]:
    """Turns under a key; a text is one of this role, and an object is one alone. None, with a fault."""
    if isinstance(value, str):
        return [(key, {"role": role, "content": value})]
    if isinstance(value, Mapping):
        return [(key, value)]
    return [(f"{key}[{n}]", entry) for n, entry in enumerate(parse.entries(key, value))]


def _read_texts(
    parse: Parse, placed: Sequence[Placed], rejected: Placed, fields: Mapping[str, Any]
) -> tuple[Message, ...]:
    """Messages of which every content is a text."""
    turns = read_placed(parse, placed, swift.ROLES, _TURN_KEYS)
    other = read_turn(parse, *rejected, swift.ROLES, _TURN_KEYS)
    answer = None if other is None else the_answer(parse, other, "role")
    if len(turns) == len(placed):
        check_order(parse, turns, "role")
        if answer is not None:
            set_rejected(parse, turns[-1], *answer)
    return place_media(parse, turns, read_media(parse, fields), in_front="missing")


def _is_turn(entry: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(entry, Mapping)
