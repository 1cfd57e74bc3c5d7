"""A question's prompt: the declared template on its row, with the places of its pictures and clips."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tessera.chat.message import IMAGE_MARK
from tessera.evaluation.benchmarks.presets import ResolvedRules
from tessera.evaluation.rows.item import Item
from tessera.runtime.shown import shown

VIDEO_MARK = "<video>"
_CHINESE = re.compile("[\u4e00-\u9fff]")
USUAL = {"hint": ""}
"""Columns that prompts may name though a row has none."""


def write_question(item: Item, rules: ResolvedRules, blind: bool = False, reasoning: bool = False) -> str:
    """What is asked, with a mark where each picture and clip stands; blind: without any.

    reasoning: by the preset's prompt for it, ValueError where there is none. ValueError naming the question,
    too, for a template that fails or marks more or fewer pictures than the question has.
    """
    images = sum(media.kind == "image" for media in item.media)
    row = {"question": item.reference.question, "options": dict(item.reference.options), "images": images}
    row["frames"] = rules.frames
    told = USUAL | {name: _plain(value) for name, value in item.reference.fields.items()} | row
    try:
        asked = compiled(rules.prompt).render(told)
        if reasoning:
            asked = compiled(_reasoned(rules)).render(told | {"prompt": asked})
    except jinja2.TemplateError as error:
        raise ValueError(f"question {item.index}: prompt: {error}; correct the preset's prompt") from error
    return _without_marks(asked) if blind else _placed(item, asked, rules)


def _reasoned(rules: ResolvedRules) -> str:
    if rules.cot is None:
        raise ValueError(f"preset {rules.preset} has no prompt that asks for reasoning; name one, as en_v2")
    return rules.cot


def _placed(item: Item, asked: str, rules: ResolvedRules) -> str:
    """Marks in front where the prompt has none."""
    images, clips = ([m for m in item.media if (m.kind == "image") == still] for still in (True, False))
    if rules.joined and images:
        images = images[:1]
    if clips and VIDEO_MARK not in asked:
        asked = f"{VIDEO_MARK}\n" * len(clips) + asked
    if images and IMAGE_MARK not in asked:
        asked = _front(len(images), rules) + asked
    for mark, media in ((IMAGE_MARK, images), (VIDEO_MARK, clips)):
        if asked.count(mark) != len(media):
            marks = f"{asked.count(mark)} {mark} in {shown(asked)}"
            raise ValueError(
                f"question {item.index}: {marks} for {len(media)} files; mark each of them, or none"
            )
    return asked


def _front(count: int, rules: ResolvedRules) -> str:
    if count == 1:
        return f"{IMAGE_MARK}\n"
    if rules.several == "spaced":
        return " ".join([IMAGE_MARK] * count) + "\n"
    return "".join(f"Image-{number}: {IMAGE_MARK}\n" for number in range(1, count + 1))


def _without_marks(asked: str) -> str:
    """The text alone; a line that held nothing but a mark goes with it."""
    for mark in (IMAGE_MARK, VIDEO_MARK):
        asked = asked.replace(f"{mark}\n", "").replace(mark, "")
    return asked


def _plain(value: Any) -> Any:
    return "" if value is None else value


def names_in(source: str) -> set[str]:
    """What a prompt names: question, options, columns."""
    return meta.find_undeclared_variables(_environment().parse(source))


@cache
def compiled(source: str) -> jinja2.Template:
    """A template; names that a row doesn't have are errors. ValueError for one that can't be read."""
    try:
        return _environment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"prompt {shown(source)}: {error}; correct it") from error


@cache
def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.tests["chinese"] = lambda text: _CHINESE.search(text) is not None
    environment.filters["strip"] = str.strip
    return environment
