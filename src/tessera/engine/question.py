"""Every way to ask, as one conversation: a string with marks, OpenAI-style messages, or message values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.chat.cards import card_question, from_card_call
from tessera.chat.message import Conversation, Image, Message, PictureSource, Video, say
from tessera.chat.openai import read_messages

Messages = Sequence[Mapping[str, Any]]
Question = str | Messages | Conversation
"""A question as text, a talk as OpenAI-style messages, or a talk as a value of this package."""
History = Sequence[tuple[str, str]]
"""Earlier turns as (question, answer), marks included, as on the model cards."""
Pictures = PictureSource | Sequence[PictureSource]
PICTURES = (str, Path, bytes, PIL.Image.Image)
Clip = Video | str | Path
Clips = Clip | Sequence[Clip]


@dataclass(frozen=True)
class Ask:
    """One question with all that belongs to it; `options` are the sampling options as they were given."""

    question: Question
    pictures: Sequence[PictureSource] = ()
    videos: Sequence[Clip] = ()
    history: History | None = None
    num_patches_list: Sequence[int] | None = None
    system: str | None = None
    max_tiles: int | None = None
    visual_increment: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Ask:
        """From the arguments of `ChatModel.chat` by name; what is no field here is a sampling option."""
        if "question" not in given:
            raise ValueError(f"question: missing among {', '.join(map(repr, given)) or 'no keys'}; add it")
        names = {entry.name for entry in fields(cls)} - {"options"}
        own = {name: value for name, value in given.items() if name in names}
        _check_kind(own["question"])
        own["pictures"] = _several(own.get("pictures"), PICTURES)
        own["videos"] = _several(own.get("videos"), (str, Path, Video))
        _check_pictures(own["pictures"])
        _check_history(own.get("history"))
        return cls(**own, options={name: value for name, value in given.items() if name not in names})

    def conversation(self, most_tiles: int) -> Conversation:
        """What is asked, as messages. `most_tiles`: the model's limit, which marks give to every picture.

        Raises ValueError when marks and media do not match or a message cannot be read.
        """
        if isinstance(self.question, str):
            return from_card_call(
                self.question,
                self.pictures,
                self.history,
                self.num_patches_list,
                max_tiles=most_tiles if self.max_tiles is None else self.max_tiles,
                system=self.system,
                videos=self.videos,
            )
        for name in ("pictures", "videos", "history", "num_patches_list"):
            if getattr(self, name):
                raise ValueError(f"{name}: messages carry their own media and turns; leave {name} out")
        whole = self.question if isinstance(self.question, Conversation) else read_messages(self.question)
        return self._with_system(self._limited(whole))

    def _with_system(self, conversation: Conversation) -> Conversation:
        if self.system is None:
            return conversation
        if any(message.role == "system" for message in conversation.messages):
            raise ValueError("system: the messages begin with a system message; leave one of the two out")
        return Conversation((say("system", self.system), *conversation.messages))

    def _limited(self, conversation: Conversation) -> Conversation:
        """Pictures that bring no limit of their own take `max_tiles`."""
        if self.max_tiles is None:
            return conversation
        return Conversation(tuple(_limit(message, self.max_tiles) for message in conversation.messages))

    def remembered(self, answer: str) -> Any:
        """The talk with its answer: what goes into the next call as `history` or as messages."""
        if isinstance(self.question, str):
            asked = card_question(self.question, self.pictures, self.history, self.videos)
            return [*(self.history or ()), (asked, answer)]
        if isinstance(self.question, Conversation):
            return Conversation((*self.question.messages, say("assistant", answer)))
        return [*self.question, {"role": "assistant", "content": answer}]


def _check_kind(question: Any) -> None:
    if isinstance(question, str | Conversation):
        return
    if isinstance(question, list | tuple) and question and all(isinstance(m, Mapping) for m in question):
        return
    raise ValueError(
        f"question: {type(question).__name__} is neither text nor a list of messages; the order here is "
        "chat(question, pictures), without the tokenizer of the model cards' call"
    )


def _limit(message: Message, most: int) -> Message:
    parts = tuple(
        Image(part.source, most, part.tiles, part.joined)
        if isinstance(part, Image) and part.max_tiles is None
        else part
        for part in message.parts
    )
    return Message(message.role, parts, message.trained)


def _several(given: Any, single: tuple[type, ...]) -> tuple[Any, ...]:
    """One picture or clip, or several, as a tuple."""
    if given is None:
        return ()
    return (given,) if isinstance(given, single) or not isinstance(given, Iterable) else tuple(given)


def _check_pictures(pictures: Sequence[Any]) -> None:
    odd = next((type(given).__name__ for given in pictures if not isinstance(given, PICTURES)), None)
    if odd is not None:
        raise ValueError(
            f"pictures: {odd} is neither a file, bytes nor a PIL picture; give the pictures themselves, "
            "tiles are cut here"
        )


def _check_history(history: Any) -> None:
    if history is None:
        return
    pairs = isinstance(history, list | tuple) and all(
        isinstance(turn, list | tuple) and len(turn) == 2 and all(isinstance(said, str) for said in turn)
        for turn in history
    )
    if not pairs:
        raise ValueError(
            "history: give (question, answer) pairs of text, as return_history=True returns them; "
            "a talk as messages is the question itself, with no history beside it"
        )
