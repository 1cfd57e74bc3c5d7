"""Which form a file is in: the one that its first records may all be of; later ones must be of it, too."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tessera.chat.message import Conversation, Message, say, with_line_breaks
from tessera.records.faults import Reason
from tessera.records.forms import caption, document, internvl, openai, sharegpt, swift
from tessera.records.forms.preferences import mmpr, trl
from tessera.records.forms.unknown import check_keys, meant_keys
from tessera.records.record import Parse, RecordPlace, is_empty
from tessera.runtime.shown import shown

FormName = Literal["internvl", "llava", "sharegpt", "openai", "swift", "mmpr", "trl", "document", "caption"]
LOOKED_AT = 64
"""Records at the start of a file that decide its form."""


@dataclass(frozen=True)
class Form:
    r"""A way of writing records: `fits` says whether one may be of this form, `read` reads it, noting faults.

    keys: what it knows of a record; `unknown` looks at the others. untrained: the key of a turn that is not
    to be trained.

    line_breaks: a line break follows every picture and clip (`<image>\nquestion`), unless the text begins
    with one. So it is in lists of messages: chat does it, and ms-swift's own template for InternVL does. The
    trainers of the other forms put media in the places of their marks and leave the text as it is. So does
    chat with a question that holds marks (`chat.cards`).
    """

    fits: Callable[[dict[str, Any]], bool]
    read: Callable[[Parse, dict[str, Any]], tuple[Message, ...]]
    keys: frozenset[str]
    line_breaks: bool = False
    untrained: str = ""

    def parse(self, record: object, place: RecordPlace) -> Conversation:
        """The record as a conversation. DataError with all its faults.

        Media files are not opened, but for the headers of pictures whose boxes are written in pixels. The
        source's system text goes in front of records without one, and their pictures share its tile limit.
        """
        parse = Parse(place)
        if not isinstance(record, dict):
            parse.refuse(f"{type(record).__name__} instead of an object")
        parse.text_only = place.text_only or _says(parse, record, "text_only", False)
        ends = _says(parse, record, "train_turn_ends", place.train_turn_ends)
        messages = self.read(parse, record)
        check_keys(parse, record, self.keys, self.untrained)
        parse.check()
        answers = parse.alternatives
        if not ends:
            messages, answers = (tuple(replace(m, end_trained=False) for m in g) for g in (messages, answers))
        if self.line_breaks:
            messages = tuple(replace(m, parts=with_line_breaks(m.parts)) for m in messages)
        if place.system is not None and not place.pretraining and messages[0].role != "system":
            messages = (say("system", place.system), *messages)
        talk = Conversation(messages, answers)
        return talk if place.max_tiles is None else talk.limited(talk.share_tiles(place.max_tiles))


def _says(parse: Parse, record: dict[str, Any], key: str, usual: bool) -> bool:
    """What a record says of itself with true or false."""
    said = record.get(key)
    if is_empty(said) or isinstance(said, bool):
        return usual if is_empty(said) else said is True
    parse.fault(key, f"{shown(said)} is not true or false")
    return usual


FORMS: Mapping[FormName, Form] = {
    "internvl": Form(internvl.fits, internvl.read, internvl.KEYS),
    "llava": Form(internvl.fits_llava, internvl.read_llava, internvl.KEYS),
    "sharegpt": Form(sharegpt.fits, sharegpt.read, sharegpt.KEYS),
    "openai": Form(openai.fits, openai.read, openai.KEYS, line_breaks=True, untrained="weight"),
    "swift": Form(swift.fits, swift.read, swift.KEYS, line_breaks=True, untrained="loss"),
    "mmpr": Form(mmpr.fits, mmpr.read, mmpr.KEYS),
    "trl": Form(trl.fits, trl.read, trl.KEYS, line_breaks=True),
    "document": Form(document.fits, document.read, document.KEYS),
    "caption": Form(caption.fits, caption.read, caption.KEYS),
}
"""By name; where a record fits several, the first is meant."""


def forms_of(record: object) -> tuple[FormName, ...]:
    """The forms that a record may be of; none for what is no object or has no known key."""
    if not isinstance(record, dict):
        return ()
    return tuple(name for name, form in FORMS.items() if form.fits(record))


def detect(records: Iterable[object]) -> FormName | None:
    """The form that all records share; the first record's when they share none; None when none is known."""
    shared: tuple[FormName, ...] = ()
    for record in records:
        found = forms_of(record)
        if found and shared and not set(found) & set(shared):
            break
        if found:
            shared = tuple(name for name in shared if name in found) or found
    return shared[0] if shared else None


def parse_as(form: FormName | None, record: object, place: RecordPlace) -> Conversation:
    """A record of a file of this form. DataError when it is of another form, or has faults of its own."""
    if form is None:
        keys = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        Parse(place).refuse(shown(keys), Reason.UNKNOWN_FORM, meant_keys(record))
    if isinstance(record, dict) and not FORMS[form].fits(record) and (others := forms_of(record)):
        Parse(place).refuse(f"{' or '.join(others)} in a file of form {form}", Reason.OTHER_FORM)
    return FORMS[form].parse(record, place)
