"""Class folders (`class/picture.jpg`, as ImageNet has them) to questions with a list of candidates."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from tessera.annotations.job import Draft, Job, QAPair, WordingSampler
from tessera.annotations.pictures import is_picture
from tessera.annotations.rejects import Rejected
from tessera.annotations.settings import ClassesSettings
from tessera.runtime.seeds import derive_seed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def drafts(job: Job[ClassesSettings]) -> Iterator[Draft]:
    """One question per picture. ValueError for fewer than two classes, or one that has no pictures."""
    labels = _labels(job)
    places = balanced_places(min(job.settings.distractors + 1, len(labels)), job.settings.seed)
    for done, (name, label) in enumerate(labels.items(), 1):
        wrong = [other for other in dict.fromkeys(labels.values()) if other != label]
        for file in _pictures(job.settings.annotations / name):
            job.count(done, len(labels))
            with job.log.catching(str(file)):
                picture = job.pictures.find(str(file.absolute()))
                turn = _turn(job.settings, job.sampler(picture.path), label, wrong, places)
                yield Draft(str(file), (picture,), (turn,))


def _pictures(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if is_picture(file))
    if not files:
        raise ValueError(f"{folder}: no pictures in the folder of a class; remove it or fill it")
    return files


def _labels(job: Job[ClassesSettings]) -> dict[str, str]:
    """Folder → what the class is called."""
    folder, style, distractors = job.settings.annotations, job.settings.style, job.settings.distractors
    if not folder.is_dir():
        raise ValueError(f"annotations: {folder} is no folder; give the folder that holds the class folders")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    try:
        labels = {name: job.label(name) for name in names}
    except Rejected as error:
        raise ValueError(f"{folder}: {error}; rename the folder, or name the class in --names") from error
    if len(set(labels.values())) < 2 and style != "open":
        raise ValueError(f"{folder}: {len(labels)} class; candidates need two, or take style=open")
    if style == "letters" and distractors >= len(LETTERS):
        raise ValueError(f"distractors={distractors}: letters end at Z; take style=list")
    return labels


def _turn(
    settings: ClassesSettings, sampler: WordingSampler, label: str, wrong: list[str], places: Iterator[int]
) -> QAPair:
    """The question in the chosen style."""
    if settings.style == "open":
        return QAPair("open", sampler.say("open.question"), sampler.say("answer", label=label))
    chosen = sampler.rng.sample(wrong, min(settings.distractors, len(wrong)))
    place = next(places) % (len(chosen) + 1)
    options = [*chosen[:place], label, *chosen[place:]]
    if settings.style == "letters":
        asked = sampler.say("letters.question", options=lettered(options))
        return QAPair("letters", asked, LETTERS[place])
    listed = ("、" if sampler.language == "zh" else ", ").join(options)
    asked = sampler.say("list.question", candidates=listed)
    return QAPair("list", asked, sampler.say("answer", label=label))


def lettered(options: list[str]) -> str:
    """Options as lines `A. …`, as the series asks multiple choice."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def balanced_places(count: int, seed: int) -> Iterator[int]:
    """Places of the right answer, from 0: every run of `count` has each place once, in random order."""
    rng = Random(derive_seed("build places", seed))
    while True:
        # Taken from the end.
        yield from reversed(rng.sample(range(count), count))
