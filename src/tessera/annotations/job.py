"""What every kind of build works with (pictures, wording, counts, seeds), and the drafts it hands over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import Generic, TypeVar

from tessera.annotations.pictures import Picture, Pictures
from tessera.annotations.rejects import Fault, Rejected, RejectLog
from tessera.annotations.settings import BuildSettings
from tessera.annotations.wording import LANGUAGES, Phrasings
from tessera.chat.tokens import ADDED_TOKENS, IMG_CONTEXT, IMG_END, IMG_START
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown

Item = TypeVar("Item")
Settings_co = TypeVar("Settings_co", bound=BuildSettings, covariant=True)
MEDIA_MARKS = ("<image>", "<video>", IMG_START, IMG_END, IMG_CONTEXT)
"""Marks that no text of the input may hold: they would add pictures to the prompt."""
ALL_MARKS = ("<image>", "<video>", *ADDED_TOKENS)
"""Marks that names and read text may not hold either, as they stand inside of <ref> and </ref>."""


@dataclass(frozen=True)
class QAPair:
    """A question with its answer; `form` is what the counts table calls it.

    about: classes or texts that the turn tells the places of. Turns about the same thing go to different
    records, or the second answer could be copied from the first.
    """

    form: str
    question: str
    answer: str
    about: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Draft:
    """Questions about pictures on their way to a record.

    pictures: the originals, which decide on the split. head: what stands before the first question, one
    `<image>` per picture shown. shown: pictures made for the record, below the output folder, if any.
    """

    place: str
    pictures: tuple[Picture, ...]
    turns: tuple[QAPair, ...]
    head: str = "<image>\n"
    shown: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class WordingSampler:
    """Draws the wording, and makes all other random choices, for one picture."""

    phrasings: Phrasings
    language: str
    rng: Random

    def say(self, section: str, **slots: object) -> str:
        """One of the section's phrasings with its slots filled."""
        return self.rng.choice(self.phrasings[section]).format_map(slots)

    def turn(self, form: str, about: Iterable[str], **slots: object) -> QAPair:
        """Question and answer in the words of `<form>.question` and `<form>.answer`; each takes its slots."""
        question, answer = self.say(f"{form}.question", **slots), self.say(f"{form}.answer", **slots)
        return QAPair(form, question, answer, frozenset(about))


@dataclass(frozen=True)
class Job(Generic[Settings_co]):
    """A build on its way. wording: by language. names: other names of classes."""

    settings: Settings_co
    pictures: Pictures
    wording: Mapping[str, Phrasings]
    names: Mapping[str, str]
    log: RejectLog
    progress: Progress

    def sampler(self, *parts: int | str) -> WordingSampler:
        """The sampler of a place: the same for the same seed and parts, whatever else is built."""
        rng = Random(derive_seed("build", self.settings.seed, *parts))
        given = self.settings.language
        language = rng.choice(LANGUAGES) if given == "both" else given
        return WordingSampler(self.wording[language], language, rng)

    def label(self, name: object) -> str:
        """What a class is called in conversations. Rejected when that is no plain text."""
        known = self.names.get(str(name), name) if isinstance(name, str | int) else name
        return clean(known, "class name", ALL_MARKS)

    def labels(self, names: Iterable[object]) -> tuple[str, ...]:
        """Those of the classes whose names are plain text, called as in conversations."""
        found = []
        for name in names:
            with suppress(Rejected):
                found.append(self.label(name))
        return tuple(found)

    def count(self, done: int, total: int | None) -> None:
        """One more item of the input; `done` of `total` for the progress bar."""
        self.log.items += 1
        self.progress("items", done, total)

    def each(self, items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
        """Items of the input one by one, each counted."""
        for done, item in enumerate(items, 1):
            self.count(done, total)
            yield item


def clean(text: object, what: str, marks: Sequence[str] = MEDIA_MARKS) -> str:
    """A text without white space around it. Rejected when it is empty or holds a mark of the prompt."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = shown(text)
    if not isinstance(text, str) or not text.strip():
        raise Rejected(Fault.EMPTY_TEXT, f"{what} {shown(text)}")
    for mark in marks:
        if mark in text:
            raise Rejected(Fault.MARK_IN_TEXT, f"{mark} in {what} {shown(text)}")
    return text.strip()


def choose_turns(turns: Iterable[QAPair], most: int, rng: Random) -> list[QAPair]:
    """At most `most` turns in random order; forms in turn, so that frequent ones don't crowd out others."""
    groups: dict[str, list[QAPair]] = {}
    for turn in turns:
        groups.setdefault(turn.form, []).append(turn)
    mixed = [rng.sample(groups[form], len(groups[form])) for form in rng.sample(sorted(groups), len(groups))]
    ranked = [turn for rank in zip_longest(*mixed) for turn in rank if turn is not None]
    return rng.sample(ranked[:most], min(most, len(ranked)))


def in_records(
    place: str, pictures: Sequence[Picture], turns: Sequence[QAPair], most: int
) -> Iterator[Draft]:
    """Turns about the same pictures as drafts of at most `most` turns, none of them about the same thing.

    Several pictures are numbered, as the series' prompts for them are.
    """
    head = "<image>\n"
    if len(pictures) > 1:
        head = "".join(f"Image-{number}: <image>\n" for number in range(1, len(pictures) + 1))
    records: list[list[QAPair]] = []
    for turn in turns:
        for record in records:
            if len(record) < most and not any(turn.about & other.about for other in record):
                record.append(turn)
                break
        else:
            records.append([turn])
    for record in records:
        yield Draft(place, tuple(pictures), tuple(record), head)
