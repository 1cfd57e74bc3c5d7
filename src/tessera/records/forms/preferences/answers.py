"""What records with two answers share: the chosen one ends the turns, the rejected one stands beside.

Beside turns, LLaMA-Factory writes both answers as turns under `chosen` and `rejected`; ms-swift writes the
rejected one alone, as a text under `rejected_response` or as a whole conversation under `rejected_messages`
(docs/facts/preferences.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tessera.chat.message import Role, say
from tessera.records.faults import Reason
from tessera.records.forms.turns import RecordTurn, check_text, read_turn, read_turns
from tessera.records.record import Parse, is_empty, listed
from tessera.runtime.shown import shown

Placed = tuple[str, object]
"""A turn as it is written, and where it stands."""
BESIDE = ("chosen", "rejected", "rejected_response", "rejected_messages")
"""Keys of answers beside turns."""
KEYS = frozenset((*BESIDE, "rejected_images", "rejected_videos"))


def is_given(value: object) -> bool:
    """Whether an answer stands there: an empty text is one, and a fault, while null fills a gap."""
    return isinstance(value, str) or not is_empty(value)


def is_whole_pair(record: Mapping[str, Any]) -> bool:
    """Whether both answers have a prompt of their own and need no turns beside them (MMPR, TRL)."""
    keys = ("chosen", "rejected")
    if not all(key in record for key in keys) or not any(is_given(record[key]) for key in keys):
        return False
    prompted = isinstance(record.get("question"), str) or "prompt" in record
    return prompted or isinstance(record["chosen"], list)


def set_rejected(parse: Parse, chosen: RecordTurn, where: str, text: str) -> None:
    """Give `parse` a rejected answer, whose text was checked, beside the chosen one."""
    if parse.place.pretraining:
        parse.fault(where, "answers to choose among", advice="remove 'pretraining' of this source")
    if text.strip() == chosen.text.strip() != "":
        parse.fault(where, f"{shown(text)}, the same as {chosen.where!r}", Reason.SAME_ANSWER)
    if not chosen.trained:
        told = "the chosen answer is not to be trained"
        parse.fault(chosen.where, told, advice="train it, or leave the record out")
    parse.alternatives = (say("assistant", text),)


def read_text(parse: Parse, value: object, where: str) -> tuple[str, str] | None:
    """An answer that is a text, and where it stands; None with a fault."""
    if not parse.is_text(value, where):
        return None
    check_text(parse, where, "assistant", value)
    return where, value


def chosen_turn(parse: Parse, fields: Mapping[str, Any]) -> list[Placed]:
    """The chosen answer as a turn that is written beside the others; none where there is no such pair."""
    if not is_given(fields.get("chosen")):
        if is_given(fields.get("rejected")):
            advice = "write the better answer under 'chosen', or the rejected one under 'rejected_response'"
            parse.fault("chosen", "missing beside 'rejected'", advice=advice)
        return []
    if not is_given(fields.get("rejected")):
        parse.fault("rejected", "missing beside 'chosen'", advice="write the answer that is not as good")
    return [("chosen", fields["chosen"])]


def read_rejected(
    parse: Parse,
    fields: Mapping[str, Any],
    turns: Sequence[RecordTurn],
    roles: Mapping[str, Role],
    keys: tuple[str, str],
) -> None:
    """Give `parse` the rejected answer that stands beside the turns, if one does; the last turn is chosen."""
    named = [key for key in BESIDE[1:] if is_given(fields.get(key))]
    if len(named) > 1:
        parse.fault(named[1], f"beside {named[0]!r}", advice="keep one rejected answer")
    if not named or not turns:
        return
    if is_given(fields.get("chosen")) and turns[-1].where != "chosen":
        parse.fault("chosen", f"beside {turns[-1].where!r}", advice="keep one chosen answer")
    for key in ("images", "videos"):
        same_media(parse, fields, key)
    found = _rejected(parse, fields[named[0]], named[0], turns, roles, keys)
    if found is not None and turns[-1].role == "assistant":
        set_rejected(parse, turns[-1], *found)


def _rejected(
    parse: Parse,
    value: object,
    key: str,
    turns: Sequence[RecordTurn],
    roles: Mapping[str, Role],
    keys: tuple[str, str],
) -> tuple[str, str] | None:
    """Where the rejected answer stands, and its text; None with a fault."""
    if key == "rejected_response":
        return read_text(parse, value, key)
    if key == "rejected":
        turn = read_turn(parse, key, value, roles, keys)
        return None if turn is None else the_answer(parse, turn, keys[0])
    other = read_turns(parse, value, key, roles, keys)
    if len(other) == len(listed(value)) and (place := parted(turns, other)):
        parse.fault(f"{key}[{place[0]}]", place[1], Reason.OTHER_PROMPT)
        return None
    return (other[-1].where, other[-1].text) if other else None


def the_answer(parse: Parse, turn: RecordTurn, role_key: str) -> tuple[str, str] | None:
    """Where a turn stands that must be an answer, and its text; None with a fault."""
    if turn.role == "assistant":
        return turn.where, turn.text
    parse.fault(f"{turn.where}.{role_key}", f"{turn.role} where assistant is due", Reason.ROLE_ORDER)
    return None


def parted(one: Sequence[RecordTurn], two: Sequence[RecordTurn]) -> tuple[int, str] | None:
    """The first turn but the last that two conversations do not share, and what is told of it."""
    return parting(*([(turn.role, turn.text) for turn in turns] for turns in (one, two)))


def parting(one: Sequence[object], two: Sequence[object]) -> tuple[int, str] | None:
    """The same of turns as they are written; the number is one of the second conversation's turns."""
    if one[:-1] == two[:-1]:
        return None
    number = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(two) - 1)
    return min(number, len(two) - 1), f"differs before the last turn: {len(one)} turns beside {len(two)}"


def same_media(parse: Parse, fields: Mapping[str, Any], key: str) -> None:
    """A fault for a rejected answer to other pictures or clips."""
    others = fields.get(f"rejected_{key}")
    if not is_empty(others) and listed(others) not in (listed(fields.get(key)), listed(fields.get(key[:-1]))):
        parse.fault(f"rejected_{key}", f"{shown(others)} are others than {key!r}", Reason.OTHER_PROMPT)
