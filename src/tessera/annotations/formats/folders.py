"""Class folders (`class/picture.jpg`, as ImageNet has them) to questions with a list of candidates."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tessera.annotations.job import Draft, Job, Turn, Voice
from tessera.annotations.pictures import is_picture
from tessera.annotations.settings import ClassesSettings
from tessera.annotations.tally import Rejected
from tessera.runtime.seeds import derive_seed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def class_drafts(job: Job, settings: ClassesSettings) -> Iterator[Draft]:
    """One question per picture. ValueError for fewer than two classes, or one that has no pictures."""
    folder = settings.annotations
    labels = _labels(job, settings)
    places = BalancedPlaces(min(settings.distractors + 1, len(labels)), job.seed)
    for done, (name, label) in enumerate(labels.items(), 1):
        files = sorted(file for file in (folder / name).rglob("*") if is_picture(file))
        if not files:
            raise ValueError(f"{folder / name}: no pictures in the folder of a class; remove it or fill it")
        for file in files:
            job.count(done, len(labels))
            place = str(file)
            try:
                picture = job.pictures.find(str(file.absolute()))
            except Rejected as error:
                job.tally.reject(place, error)
                continue
            voice = job.voice(picture.path)
            wrong = [other for other in dict.fromkeys(labels.values()) if other != label]
            yield Draft(place, (picture,), (_turn(voice, label, wrong, places, settings),))


def _labels(job: Job, settings: ClassesSettings) -> dict[str, str]:
    """Folder → what the class is called."""
    folder = settings.annotations
    if not folder.is_dir():
        raise ValueError(f"annotations: {folder} is no folder; give the folder that holds the class folders")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    try:
        labels = {name: job.label(name) for name in names}
    except Rejected as error:
        raise ValueError(f"{folder}: {error}; rename the folder, or name the class in --names") from error
    if len(set(labels.values())) < 2 and settings.style != "open":
        raise ValueError(f"{folder}: {len(labels)} class; candidates need two, or take style=open")
    if settings.style == "letters" and settings.distractors >= len(LETTERS):
        raise ValueError(f"distractors={settings.distractors}: letters end at Z; take style=list")
    return labels


def _turn(
    voice: Voice, label: str, wrong: list[str], places: BalancedPlaces, settings: ClassesSettings
) -> Turn:
    """The question in the chosen style."""
    if settings.style == "open":
        return Turn("open", voice.say("open.question"), voice.say("answer", label=label))
    chosen = voice.rng.sample(wrong, min(settings.distractors, len(wrong)))
    place = places.next() % (len(chosen) + 1)
    options = [*chosen[:place], label, *chosen[place:]]
    if settings.style == "letters":
        lines = lettered(options)
        return Turn("letters", voice.say("letters.question", options=lines), LETTERS[place])
    comma = "、" if voice.language == "zh" else ", "
    question = voice.say("list.question", candidates=comma.join(options))
    return Turn("list", question, voice.say("answer", label=label))


def lettered(options: list[str]) -> str:
    """Options as lines `A. …`, as the series asks multiple choice."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


class BalancedPlaces:
    """Places of the right answer: every run of `count` answers has each place once, in random order."""

    def __init__(self, count: int, seed: int) -> None:
        self._rng = Random(derive_seed("build places", seed))
        self._count = count
        self._left: list[int] = []

    def next(self) -> int:
        """The next place, from 0."""
        if not self._left:
            self._left = self._rng.sample(range(self._count), self._count)
        return self._left.pop()
