"""Captions: COCO's file (images and annotations with `caption`), or rows with image and caption."""

from collections.abc import Iterator
from itertools import groupby

from tessera.annotations.formats.coco import by_image
from tessera.annotations.formats.rows import IMAGE, FileRow, read_json, read_rows
from tessera.annotations.job import Draft, Job, QAPair, clean
from tessera.annotations.settings import CaptionsSettings

CAPTION = ("caption", "text", "description")


def drafts(job: Job[CaptionsSettings]) -> Iterator[Draft]:
    """One record per caption, or one per picture (of neighbouring rows, where rows are streamed)."""
    for number, (name, group) in enumerate(groupby(_rows(job), lambda row: str(row.get(*IMAGE)))):
        captions = list(group)
        if job.settings.per_picture == "one":
            captions = [job.sampler("caption", name, number).rng.choice(captions)]
        for place, row in enumerate(captions):
            with job.log.catching(row.place):
                picture = job.pictures.find(row.get(*IMAGE))
                caption = clean(row.get(*CAPTION), "caption")
                question = job.sampler(picture.path, number, place).say("question")
                yield Draft(row.place, (picture,), (QAPair("caption", question, caption),))


def _rows(job: Job[CaptionsSettings]) -> Iterator[FileRow]:
    """COCO's captions picture by picture, or the file's rows."""
    file = job.settings.annotations
    content = read_json(file) if file.suffix.lower() == ".json" else None
    if not isinstance(content, dict):
        return read_rows(job, (IMAGE, CAPTION))
    rows = [
        FileRow(row.place, {"image": image.get("file_name"), "caption": row.fields.get("caption")})
        for image, found in by_image(job, content)
        for row in found
    ]
    return job.each(rows, len(rows))
