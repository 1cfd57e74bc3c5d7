"""Which form a file is in: the one that its first records may all be of; later ones must be of it, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tessera.chat.message import Conversation
from tessera.records.faults import DataError, Reason
from tessera.records.forms import caption, document, internvl, llava, openai, sharegpt, swift
from tessera.records.record import Parse, RecordPlace, short

FormName = Literal["internvl", "llava", "sharegpt", "openai", "swift", "document", "caption"]
LOOKED_AT = 64
"""Records at the start of a file that decide its form."""


@dataclass(frozen=True)
class Form:
    """A way of writing records: `fits` says whether one may be of this form, `parse` reads it."""

    fits: Callable[[dict[str, Any]], bool]
    parse: Callable[[object, RecordPlace], Conversation]


FORMS: Mapping[FormName, Form] = {
    "internvl": Form(internvl.fits, internvl.parse),
    "llava": Form(internvl.fits_llava, llava.parse),
    "sharegpt": Form(sharegpt.fits, sharegpt.parse),
    "openai": Form(openai.fits, openai.parse),
    "swift": Form(swift.fits, swift.parse),
    "document": Form(document.fits, document.parse),
    "caption": Form(caption.fits, caption.parse),
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
        parse = Parse(place)
        keys = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        parse.fault("record", Reason.UNKNOWN_FORM, short(keys))
        parse.stop()
    if isinstance(record, dict) and not FORMS[form].fits(record) and (others := forms_of(record)):
        parse = Parse(place)
        parse.fault("record", Reason.OTHER_FORM, f"{' or '.join(others)} in a file of form {form}")
        raise DataError(parse.faults)
    return FORMS[form].parse(record, place)
