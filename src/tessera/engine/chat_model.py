"""An opened model to talk to: `chat`, `stream`, `batch`, `encode`; what `tessera.load` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Unpack, overload

import numpy as np
import numpy.typing as npt

from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Conversation
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded
from tessera.engine.engine import Engine
from tessera.engine.options import AskOptions, SamplingOptions, fit_answer, read_options
from tessera.engine.question import Ask, Clips, History, Pictures, Question
from tessera.engine.request import Completion, Sampling
from tessera.families.family import Family
from tessera.models.positions import require_increment
from tessera.runtime.progress import Progress, silent

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Prompt:
    """A question ready for the engine: as messages, as ids and tiles, and how its answer is chosen."""

    conversation: Conversation
    encoded: Encoded
    sampling: Sampling
    visual_increment: float


class ChatModel:
    """One model with its tokenizer and encoder. An answer depends on the question and its options alone.

    A question is a string in which `<image>` and `<video>` stand for media, a list of OpenAI-style messages,
    or a `Conversation`. Options, all by name: num_patches_list (tiles of each `<image>`, as on the cards),
    system (in place of the model's own system text), max_tiles (of a picture), visual_increment (V2PE: 1 or
    1/2 ... 1/256), and how to choose: max_new_tokens, temperature, top_k, top_p, repetition_penalty, seed,
    stop, do_sample. docs/open.md shows them in use, beside the model cards' calls.
    """

    def __init__(self, loaded: Loaded, max_batch: int = 64) -> None:
        self.loaded = loaded
        self.engine = Engine.of(loaded, max_batch)

    def __repr__(self) -> str:
        return self.summary

    @property
    def summary(self) -> str:
        """What was opened, in one line: name, layout, parts, parameters, number format, device."""
        return self.loaded.summary

    @property
    def notes(self) -> tuple[str, ...]:
        """Harmless oddities of the checkpoint or the machine and what was made of them."""
        return self.loaded.notes

    @property
    def family(self) -> Family:
        return self.loaded.family

    @property
    def tokenizer(self) -> Tokenizer:
        return self.loaded.tokenizer

    @property
    def encoder(self) -> Encoder:
        return self.loaded.encoder

    @overload
    def chat(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        return_history: Literal[False] = False,
        **options: Unpack[AskOptions],
    ) -> str: ...

    @overload
    def chat(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        *,
        return_history: Literal[True],
        **options: Unpack[AskOptions],
    ) -> tuple[str, Any]: ...

    def chat(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        return_history: bool = False,
        **options: Unpack[AskOptions],
    ) -> str | tuple[str, Any]:
        """The answer, a string; with `return_history` a pair of it and the history for the next call.

        Media stand where the question says `<image>` and `<video>`, or in front of it when it says neither.
        As on the model cards, `history` is a list of (question, answer) and the media are those of all turns,
        in order. Messages carry media and turns themselves; their history is the messages and the answer.
        Raises ValueError naming what is wrong with question, media or options.
        """
        ask = _ask(question, pictures, videos, history, options)
        answer = self.complete([self._prompt(ask)])[0].text
        return (answer, ask.remembered(answer)) if return_history else answer

    def stream(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        **options: Unpack[AskOptions],
    ) -> Iterator[str]:
        """The answer of `chat` in pieces, each as soon as it is certain. Mistakes are raised by the call."""
        prompt = self._prompt(_ask(question, pictures, videos, history, options))
        return self.engine.stream(prompt.encoded, prompt.sampling, prompt.visual_increment)

    def batch(
        self,
        items: Sequence[Question | Mapping[str, Any]],
        progress: Progress = silent,
        **options: Unpack[SamplingOptions],
    ) -> list[str]:
        """Answers to many questions at once, in their order; each is what `chat` answers.

        An item is a question, or a mapping with the arguments of `chat` by name, whose options win over the
        batch's. Text, pictures of any number of tiles and clips may stand side by side. Raises ValueError
        naming the first bad item; all but undecodable media are found before anything is computed.
        """
        asks = [self._checked(index, item, options) for index, item in enumerate(items)]
        answers: list[str] = []
        while len(answers) < len(asks):  # pixels of one chunk at a time
            chunk = range(len(answers), min(len(answers) + self.engine.max_batch, len(asks)))
            prompts = [_named(index, self._prompt, asks[index]) for index in chunk]
            answers += [completion.text for completion in self.complete(prompts)]
            progress("answers", len(answers), len(asks))
        return answers

    def encode(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        **options: Unpack[AskOptions],
    ) -> Encoded:
        """The ids int32 [T] and tiles uint8 [N, S, S, 3] that `chat` would give the model."""
        return self._prompt(_ask(question, pictures, videos, history, options)).encoded

    def prompt(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        **options: Unpack[AskOptions],
    ) -> Prompt:
        """What `chat` asks: for `complete`, or to look at (`encoder.render_text(prompt.conversation)`)."""
        return self._prompt(_ask(question, pictures, videos, history, options))

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answers with their ids, why they ended and the length of their prompts, all at once."""
        return self.engine.generate(
            [prompt.encoded for prompt in prompts],
            [prompt.sampling for prompt in prompts],
            visual_increment=[prompt.visual_increment for prompt in prompts],
        )

    def _prompt(self, ask: Ask) -> Prompt:
        read_options(ask.options)
        increment = require_increment(ask.visual_increment)
        conversation = ask.conversation(self.encoder.tiling.max_tiles)
        encoded = self.encoder.encode(conversation, generate=True)
        return Prompt(conversation, encoded, self._sampling(ask, encoded.ids), increment)

    def _sampling(self, ask: Ask, ids: npt.NDArray[np.int32]) -> Sampling:
        """How the answer is chosen, no longer than fits behind the ids int32 [T] of the prompt."""
        chosen = "max_new_tokens" in ask.options
        return fit_answer(ids, read_options(ask.options), self.family.model, ask.visual_increment, chosen)

    def _checked(self, index: int, item: Question | Mapping[str, Any], options: Mapping[str, Any]) -> Ask:
        """The item as a question whose options, marks, file headers and length are in order."""

        def check(given: Mapping[str, Any]) -> Ask:
            ask = Ask.read(given)
            read_options(ask.options)
            require_increment(ask.visual_increment)
            conversation = ask.conversation(self.encoder.tiling.max_tiles)
            self._sampling(ask, self.encoder.prompt_ids(conversation))
            return ask

        given = item if isinstance(item, Mapping) else {"question": item}
        return _named(index, check, {**options, **given})


def _ask(
    question: Question, pictures: Pictures, videos: Clips, history: History | None, options: AskOptions
) -> Ask:
    given = {"question": question, "pictures": pictures, "videos": videos, "history": history}
    return Ask.read({**given, **options})


def _named(index: int, make: Callable[[A], B], given: A) -> B:
    """`make(given)`; what is wrong with it is told with its index."""
    try:
        return make(given)
    except (ValueError, OSError) as error:
        raise ValueError(f"items[{index}]: {error}") from error
