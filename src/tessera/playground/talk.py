"""Scenes as conversations: with the picture, with its caption in words, or blind."""

from collections.abc import Sequence
from random import Random
from typing import Literal, get_args

from tessera.chat.message import Audio, Conversation, Image, Message, Video, ask, say
from tessera.playground.parts import Question, Scene

Mode = Literal["picture", "caption", "blind"]
DESCRIBE = {
    "picture": (
        "describe the picture.",
        "what do you see?",
        "tell me what is in the picture.",
        "name everything in the picture.",
    ),
    "pictures": ("describe the pictures.", "what do you see?", "tell me what is in both pictures."),
    "clip": ("describe the clip.", "what happens?", "tell me what happens in the clip."),
    "sound": ("describe the sound.", "what do you hear?", "tell me what you hear."),
}


def conversation(scene: Scene, questions: Sequence[Question], mode: Mode = "picture") -> Conversation:
    r"""Questions and answers in turns, about the picture, about its caption, or with nothing to go by.

    `picture` puts all media in front of the first question, labelled as `chat.message.ask` does; `caption`
    puts `caption\n` there and drops questions that the caption cannot answer; `blind` puts nothing.
    Raises ValueError when no question is left.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode {mode!r} is unknown: choose one of {', '.join(get_args(Mode))}")
    asked = [q for q in questions if q.in_caption or mode != "caption"]
    if not asked:
        raise ValueError("questions: none is left to ask; in caption mode give at least one with in_caption")
    first, *others = asked
    messages = [opening(scene, first.text, mode), say("assistant", first.answer)]
    for question in others:
        messages += [say("user", question.text), say("assistant", question.answer)]
    return Conversation(tuple(messages))


def opening(scene: Scene, text: str, mode: Mode = "picture") -> Message:
    """The first user message of a conversation about a scene."""
    if mode == "blind":
        return say("user", text)
    if mode == "caption":
        return say("user", f"{scene.caption}\n{text}")
    images = [part.source for part in scene.media if isinstance(part, Image)]
    videos = [part for part in scene.media if isinstance(part, Video)]
    sounds = [part for part in scene.media if isinstance(part, Audio)]
    return ask(text, images, videos, sounds)


def caption_conversation(scene: Scene, rng: Random) -> Conversation:
    """The request to describe the media, in one of several wordings, and the caption as its answer."""
    kind = "pictures" if sum(isinstance(part, Image) for part in scene.media) > 1 else "picture"
    kind = {"clip": "clip", "sounds": "sound", "spoken": "sound"}.get(scene.suite, kind)
    return Conversation((opening(scene, rng.choice(DESCRIBE[kind])), say("assistant", scene.caption)))
