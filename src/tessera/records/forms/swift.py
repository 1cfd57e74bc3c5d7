"""ms-swift's form: `messages` of `role` and `content` with marks, `images`, `videos` and `objects`.

Also `query`, `response` and `history`, and `instruction`, `input` and `output`. Pictures without a mark go in
front of the first question, as ms-swift puts them. Its template for InternVL writes a line break behind every
picture, which `forms.detect` does for this form. `<ref-object>` and `<bbox>` stand for the entries of
`objects`: references and boxes, in pixels of their picture ("real") or as fractions of it ("norm1").
Two answers stand beside the messages or the instruction (`preferences.answers`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tessera.chat.message import Message, Role
from tessera.records.forms import internvl
from tessera.records.forms.objects import fill_objects
from tessera.records.forms.preferences.answers import KEYS as ANSWERS
from tessera.records.forms.preferences.answers import (
    chosen_turn,
    is_whole_pair,
    read_rejected,
    read_text,
    set_rejected,
)
from tessera.records.forms.sharegpt import with_system_text
from tessera.records.forms.turns import RecordTurn, place_media, read_media, read_turns
from tessera.records.record import Parse, is_empty, listed
from tessera.runtime.shown import shown

ROLES: dict[str, Role] = {**internvl.ROLES, "user": "user", "assistant": "assistant"}
KEYS = frozenset(
    (
        *("messages", "query", "response", "history", "instruction", "input", "output", "system"),
        *("image", "images", "video", "videos", "clip", "objects"),
        *("audio", "audios"),
        *ANSWERS,
    )
)


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound; headers of pictures are read for boxes in pixels."""
    messages, where, keys = fields.get("messages"), "messages", ("role", "content")
    chosen = [] if messages is None else chosen_turn(parse, fields)
    if messages is None:
        messages, where = _messages(parse, fields), "query"
    turns = [] if messages is None else read_turns(parse, messages, where, ROLES, keys, chosen)
    turns = _losses(parse, messages, turns)
    _read_rejected(parse, fields, turns)
    media = read_media(parse, fields)
    said = fill_objects(parse, fields, with_system_text(parse, fields, turns), media)
    return place_media(parse, said, media, in_front="missing")


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    messages = record.get("messages")
    if is_whole_pair(record):
        return False
    if messages is None:
        return "response" in record or "output" in record or is_ranking(record)
    return isinstance(messages, list) and not any(
        isinstance(message, dict) and isinstance(message.get("content"), list) for message in messages
    )


def is_ranking(record: Mapping[str, Any]) -> bool:
    """Whether two answers as texts follow an instruction, as LLaMA-Factory has them."""
    return isinstance(record.get("instruction"), str) and "chosen" in record and "rejected" in record


def _read_rejected(parse: Parse, fields: dict[str, Any], turns: list[RecordTurn]) -> None:
    """The rejected answer, if there is one: a text beside an instruction, else what stands beside turns."""
    if fields.get("messages") is not None or not is_ranking(fields):
        read_rejected(parse, fields, turns, ROLES, ("role", "content"))
    elif (found := read_text(parse, fields["rejected"], "rejected")) and turns:
        set_rejected(parse, replace(turns[-1], where="chosen"), *found)


def _losses(parse: Parse, messages: object, turns: list[RecordTurn]) -> list[RecordTurn]:
    """`loss: false` leaves an answer unsupervised."""
    entries = listed(messages)
    if len(entries) != len(turns):
        return turns
    out = []
    for turn, entry in zip(turns, entries, strict=True):
        loss = entry.get("loss")
        if not is_empty(loss) and loss not in (True, False):
            parse.fault(f"{turn.where}.loss", f"{shown(loss)} is not true or false")
        out.append(replace(turn, trained=is_empty(loss) or bool(loss)))
    return out


def _messages(parse: Parse, fields: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Messages of the older forms; None with a fault."""
    if "response" in fields:
        where, query, answer = "query", fields.get("query"), fields["response"]
    else:
        task = [fields[key] for key in ("instruction", "input") if not is_empty(fields.get(key))]
        if not all(isinstance(text, str) for text in task):
            parse.fault("instruction", "'instruction' or 'input' is not a text")
            return None
        answer = fields["chosen"] if is_ranking(fields) else fields.get("output")
        where, query = "instruction", "\n".join(task)
    history = [] if is_empty(fields.get("history")) else fields["history"]
    if type(history) is not list or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        parse.fault("history", f"{shown(history)} is not a list of [question, answer]")
        return None
    pairs = [*history, [query, answer]]
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        parse.fault(where, "a question or answer is missing or not a text")
        return None
    names = ("user", "assistant")
    return [{"role": n, "content": t} for pair in pairs for n, t in zip(names, pair, strict=True)]
