"""What is asked of the engine: a question with its media and options, read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from tessera.audio.sources import SoundSource
from tessera.chat.cards import History, card_history, card_question, from_card_call
from tessera.chat.message import Audio, Conversation, PictureSource, Video, say
from tessera.chat.openai import read_messages
from tessera.chat.positions import require_increment, v2pe_positions
from tessera.chat.tool_calls import ToolUse
from tessera.engine.sampling.forced_calls import calls_grammar
from tessera.engine.sampling.options import Sampling, SamplingOptions, read_sampling
from tessera.engine.sounds.given import read_sounds
from tessera.imaging.clips.stills import are_frames
from tessera.imaging.pictures.sources import picture_source
from tessera.models.config import ModelConfig
from tessera.runtime.shown import shown

DEFAULT_NEW_TOKENS = 1024
"""Longest answer when nobody says, as in the model cards; less where the context is nearly full."""

Messages = Sequence[Mapping[str, Any]]
ChatInput = str | Messages | Conversation
"""A question as text, a talk as OpenAI-style messages, or a talk as a value of this package."""
Picture = PictureSource | bytearray | memoryview | IO[bytes]
"""A file, a `data:` or `file:` address, base64 or bytes of a file, an open file, a decoded picture."""
Pictures = Picture | Sequence[Picture]
Clip = Video | str | Path | Sequence[PictureSource]
Clips = Clip | Sequence[Clip]
Sound = Audio | SoundSource | bytearray | memoryview | IO[bytes]
"""A file, also a video; a `data:` or `file:` address, bytes, an open file; bounds in an `Audio`."""
Sounds = Sound | Sequence[Sound]


class ChatOptions(SamplingOptions, total=False):
    """Keywords that belong to one question; `ChatModel` says what they mean."""

    videos: Clips
    audios: Sounds
    history: History | None
    num_patches_list: Sequence[int] | None
    system: str | None
    max_tiles: int | None
    visual_increment: float | None
    prefill: str
    continue_final_message: bool
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None


QUESTION_KEYS = {"question", "pictures", *ChatOptions.__annotations__} - {*SamplingOptions.__annotations__}
OPTION_KINDS: Mapping[str, tuple[type, str]] = {
    "system": (str, "text"),
    "prefill": (str, "text"),
    "continue_final_message": (bool, "True or False"),
    "max_tiles": (int, "a whole number"),
    "num_patches_list": (Sequence, "a list of whole numbers"),
}
"""Option of `ChatModel.chat` -> what it is; None is as good as not given."""


@dataclass(frozen=True)
class ChatRequest:
    """A question read once: what is asked, how its answer is chosen, and the talk so far as it was given."""

    conversation: Conversation
    sampling: Sampling
    visual_increment: float
    question: ChatInput
    history: History = ()
    prefill: str = ""
    """Words with which the answer begins."""
    tools: ToolUse = ToolUse()
    """Functions that the model may call."""

    @classmethod
    def read(cls, most_tiles: int, given: Mapping[str, Any], increment: float = 1.0) -> ChatRequest:
        """From the arguments of `ChatModel.chat` by name. ValueError for whatever is wrong with them.

        most_tiles: the model's limit, which marks give to every picture; messages divide it, as in training.
        increment: the model's visual increment, where none is given.
        """
        if "question" not in given:
            raise ValueError(f"question: missing among {', '.join(map(repr, given)) or 'no keys'}; add it")
        sampling = read_sampling(
            {"strip": True} | {name: given[name] for name in given if name not in QUESTION_KEYS},
            beside=QUESTION_KEYS,
        )
        _check_options(given)
        functions = [given.get(name) for name in ("tools", "tool_choice", "parallel_tool_calls")]
        use = ToolUse() if functions == [None] * 3 else ToolUse.read(*functions)
        sampling = _held_to_calls(sampling, use)
        asked_for = given.get("visual_increment")
        increment = require_increment(increment if asked_for is None else asked_for)
        question, prefill = _begun(_checked_question(given["question"]), given)
        history = _checked_history(given.get("history"))
        pictures, videos = _pictures(given.get("pictures")), _clips(given.get("videos"))
        audios = read_sounds(given.get("audios"))
        counts, limit, system = (given.get(name) for name in ("num_patches_list", "max_tiles", "system"))
        if isinstance(question, str):
            most = most_tiles if limit is None else limit
            talk = from_card_call(
                question,
                pictures,
                history,
                counts,
                max_tiles=most,
                system=system,
                videos=videos,
                audios=audios,
            )
            asked = card_question(question, pictures, history, videos, audios)
            return cls(talk, sampling, increment, asked, history or (), prefill, use)
        beside = {"pictures": pictures, "videos": videos, "audios": audios, "history": history}
        beside |= {"num_patches_list": counts}
        if extra := next((name for name, value in beside.items() if value), None):
            raise ValueError(f"{extra}: messages carry their own media and turns; leave {extra} out")
        talk = question if isinstance(question, Conversation) else read_messages(question)
        talk = talk if limit is None else talk.limited(limit)
        talk = talk if system is None else _with_system(talk, system)
        return cls(talk, sampling, increment, question, prefill=prefill, tools=use)

    @property
    def wanted(self) -> int:
        """Tokens that must fit behind the prompt: max_new_tokens where the caller chose it, else one."""
        return self.sampling.max_new_tokens if "max_new_tokens" in self.sampling.model_fields_set else 1

    def fitted(self, room: int, marker: str) -> Sampling:
        """The sampling with an answer of at most `room` tokens, as long as usual unless the caller chose.

        marker: what ends a turn; the cards' code cuts an answer there also where characters spell it.
        """
        chosen: dict[str, Any] = {"begun": self.prefill}
        if "max_new_tokens" not in self.sampling.model_fields_set:
            chosen["max_new_tokens"] = min(DEFAULT_NEW_TOKENS, room)
        if self.sampling.strip:
            chosen["stop"] = (*self.sampling.stop, marker)
        return self.sampling.model_copy(update=chosen)

    def remembered(self, answer: str) -> Any:
        """The talk with its answer: what goes into the next call as `history` or as messages."""
        if isinstance(self.question, str):
            return card_history([*self.history, (self.question, answer)], self.conversation)
        if isinstance(self.question, Conversation):
            return Conversation((*self.question.messages, say("assistant", answer)))
        return [*self.question, {"role": "assistant", "content": answer}]


def place_prompt(
    where: str, prompt: npt.NDArray[np.int32], increment: float, wanted: int, config: ModelConfig
) -> tuple[torch.Tensor, int]:
    """Positions float32 [T] of a prompt, ids int32 [T], and how many tokens may follow it.

    Raises ValueError, led by `where`, when these are fewer than `wanted`, or for an unknown increment.
    """
    positions = v2pe_positions(prompt, config.image_token_id, require_increment(increment))
    longest = config.decoder.longest_context
    room = int(longest - 1 - positions[-1].item())
    if wanted > room:
        tiles = int((prompt == config.image_token_id).sum()) // config.tokens_per_tile
        raise ValueError(
            f"{where} has {len(prompt)} tokens ({tiles} tiles) and max_new_tokens is {wanted}, but the model "
            f"was made for {longest} positions: ask for fewer tokens, give fewer pictures, frames or tiles "
            "(max_tiles=...), shorter text or a smaller visual_increment"
        )
    return torch.from_numpy(positions), room


def _check_options(given: Mapping[str, Any]) -> None:
    """ValueError for an option of another kind than it is; None is as good as not given."""
    for name, (kind, words) in OPTION_KINDS.items():
        value = given.get(name)
        fits = isinstance(value, kind) and not (isinstance(value, bool | str) and kind in (int, Sequence))
        if fits and kind is Sequence:
            fits = all(type(count) is int for count in given[name])
        if value is not None and not fits:
            raise ValueError(f"{name} = {shown(value)}: give {words}")


def _begun(question: ChatInput, given: Mapping[str, Any]) -> tuple[ChatInput, str]:
    """The question, and the words with which its answer begins: given apart, or as the last message."""
    prefill = given.get("prefill") or ""
    if not given.get("continue_final_message"):
        return question, prefill
    if prefill or isinstance(question, str):
        raise ValueError(
            "continue_final_message: messages end with the words; beside a question use prefill=..."
        )
    messages = question.messages if isinstance(question, Conversation) else read_messages(question).messages
    if not messages or messages[-1].role != "assistant" or not messages[-1].text:
        raise ValueError(
            "continue_final_message: the last message holds no words of the assistant; write there how the "
            "answer begins, or leave continue_final_message out"
        )
    words = messages[-1].text
    return Conversation(messages[:-1]) if isinstance(question, Conversation) else question[:-1], words


def _held_to_calls(sampling: Sampling, use: ToolUse) -> Sampling:
    """The sampling whose answer must be a call, where one is forced."""
    if not use.forced:
        return sampling
    if sampling.grammar is not None:
        raise ValueError("tool_choice: it must be a call, and grammar asks for another form; leave one out")
    return sampling.model_copy(update={"grammar": calls_grammar(use)})


def _with_system(talk: Conversation, system: str) -> Conversation:
    if any(message.role == "system" for message in talk.messages):
        raise ValueError("system: the messages begin with a system message; leave one of the two out")
    return Conversation((say("system", system), *talk.messages))


def _checked_question(question: Any) -> ChatInput:
    listed = isinstance(question, list | tuple) and question
    if isinstance(question, str | Conversation) or (listed and all(isinstance(m, Mapping) for m in question)):
        return question
    raise ValueError(
        f"question: {type(question).__name__} is neither text nor a list of messages; the order here is "
        "chat(question, pictures), without the tokenizer of the model cards' call"
    )


def _checked_history(history: Any) -> History | None:
    if history is None or (isinstance(history, list | tuple) and all(map(_is_pair, history))):
        return history
    raise ValueError(
        "history: give (question, answer) pairs of text, as return_history=True returns them; "
        "a talk as messages is the question itself, with no history beside it"
    )


def _is_pair(turn: Any) -> bool:
    match turn:
        case [str(), str()]:
            return True
    return False


def _pictures(media: Any) -> tuple[PictureSource, ...]:
    """One picture or several, in any spelling, as a tuple."""
    if media is None:
        return ()
    # An open file is an iterator, too.
    several = isinstance(media, list | tuple | Iterator) and not hasattr(media, "read")
    found: list[PictureSource] = []
    for one in media if several else (media,):
        try:
            found.append(picture_source(one))
        except ValueError as error:
            raise ValueError(f"pictures{f'[{len(found)}]' if several else ''}: {error}") from error
    return tuple(found)


def _clips(media: Any) -> tuple[Any, ...]:
    """One clip or several, as a tuple; a list of pictures is one."""
    if media is None:
        return ()
    single = isinstance(media, str | Path | Video) or are_frames(media) or not isinstance(media, Iterable)
    clips = (media,) if single else media
    found = tuple(Video(tuple(clip)) if are_frames(clip) else clip for clip in clips)
    if odd := next((type(one).__name__ for one in found if not isinstance(one, str | Path | Video)), None):
        raise ValueError(
            f"videos: {odd} is neither a file, a folder or list of frames nor a tessera.Video; name files"
        )
    return found
