"""ShareGPT's form: `conversations` of `from` and `value`, or pairs of question and answer.

`images` and `videos` (or `image` and `video`) are lists of files, marked by `<image>` and `<video>` in the
questions as LLaMA-Factory has it; `system` is a text. Tool calls are refused: the models know no such role.
Pairs stand under `conversation` (`human`, `assistant`) or under `texts` (`user`, `assistant`), as in The
Cauldron and FineVision, whose pictures have no marks: they go in front of the first question, one a line.
Two answers stand beside the turns as in LLaMA-Factory, or as ms-swift has them (`preferences.answers`).
"""

from collections.abc import Sequence
from typing import Any

from tessera.chat.message import Message, Role
from tessera.records.faults import Reason
from tessera.records.forms import internvl
from tessera.records.forms.preferences.answers import KEYS as ANSWERS
from tessera.records.forms.preferences.answers import chosen_turn, is_whole_pair, read_rejected
from tessera.records.forms.turns import RecordTurn, check_text, place_media, read_media, read_turns
from tessera.records.record import Parse, is_empty

ROLES: dict[str, Role] = {**internvl.ROLES, "user": "user", "assistant": "assistant", "chatgpt": "assistant"}
KEYS = frozenset(
    (
        *("conversations", "conversation", "texts", "system", "image", "images", "video", "videos", "clip"),
        *("audio", "audios"),
        *ANSWERS,
    )
)
PAIRS = {"conversation": ("human", "assistant"), "texts": ("user", "assistant")}
"""Key -> the names of question and answer in every pair under it."""


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound."""
    key = next((key for key in PAIRS if not is_empty(fields.get(key))), None)
    turns: Sequence[RecordTurn]
    chosen = chosen_turn(parse, fields)
    if is_empty(fields.get("conversations")) and key is not None:
        turns = _pairs(parse, key, fields[key])
    else:
        turns = read_turns(parse, fields.get("conversations"), "conversations", ROLES, behind=chosen)
    read_rejected(parse, fields, turns, ROLES, ("from", "value"))
    media = read_media(parse, fields)
    turns = with_system_text(parse, fields, turns)
    return place_media(parse, turns, media, in_front="all" if key == "texts" else "single")


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    if is_whole_pair(record):
        return False
    for key in PAIRS:
        pairs = record.get(key)
        if isinstance(pairs, list) and any(isinstance(pair, dict) for pair in pairs):
            return True
    turns = record.get("conversations")
    return isinstance(turns, list) and all(isinstance(turn, dict) and "content" not in turn for turn in turns)


def with_system_text(
    parse: Parse, fields: dict[str, Any], turns: Sequence[RecordTurn]
) -> Sequence[RecordTurn]:
    """`system` beside the turns as a leading turn; an empty one is none."""
    text = fields.get("system")
    if is_empty(text):
        return turns
    if not parse.is_text(text, "system"):
        return turns
    if turns and turns[0].role == "system":
        parse.fault("system", "the turns begin with a system text, too", Reason.ROLE_ORDER)
    elif parse.sound("system", text):
        return [RecordTurn("system", text, "system"), *turns]
    return turns


def _pairs(parse: Parse, key: str, entries: object) -> list[RecordTurn]:
    """Questions and answers in turn."""
    names = PAIRS[key]
    roles: tuple[Role, Role] = ("user", "assistant")
    turns: list[RecordTurn] = []
    for number, entry in enumerate(parse.entries(key, entries)):
        where = f"{key}[{number}]"
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
            parse.fault(where, f"not an object with the texts {' and '.join(names)}")
            return []
        for name, role in zip(names, roles, strict=True):
            check_text(parse, f"{where}.{name}", role, entry[name])
            turns.append(RecordTurn(role, entry[name], f"{where}.{name}"))
    return turns
