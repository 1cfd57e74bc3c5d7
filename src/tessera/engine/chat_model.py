"""An opened model to talk to: `chat`, `stream`, `batch`, `encode`; what `tessera.load` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack, overload

from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Conversation
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded
from tessera.engine.engine import Engine, Progress
from tessera.engine.options import AskOptions, SamplingOptions, fit_answer, read_options
from tessera.engine.question import Ask, Clips, History, Pictures, Question
from tessera.engine.request import Completion, Sampling
from tessera.families.family import Family
from tessera.models.positions import require_increment


@dataclass(frozen=True)
class Prompt:
    """A question ready for the engine."""

    encoded: Encoded
    sampling: Sampling
    visual_increment: float


class ChatModel:
    """One model with its tokenizer and encoder. An answer depends on the question and its options alone.

    A question is a string in which `<image>` and `<video>` stand for media, a list of OpenAI-style messages,
    or a `Conversation`. Options, all by name: num_patches_list (tiles of each `<image>`, as on the model cards),
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
        answer = self._answer([self._prompt(ask)])[0].text
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
        progress: Progress | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[str]:
        """Answers to many questions at once, in their order; each is what `chat` answers.

        An item is a question, or a mapping with the arguments of `chat` by name, whose options win over the
        batch's. Text, pictures of any number of tiles and clips may stand side by side. Raises ValueError
        naming the first bad item before anything is computed.
        """
        prompts = [self._item(index, item, options) for index, item in enumerate(items)]
        return [completion.text for completion in self._answer(prompts, progress)]

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

    def conversation(
        self,
        question: Question,
        pictures: Pictures = (),
        videos: Clips = (),
        history: History | None = None,
        **options: Unpack[AskOptions],
    ) -> Conversation:
        """What `chat` would ask, as messages; `encoder.render_text` shows it as the model's prompt."""
        return self._conversation(_ask(question, pictures, videos, history, options))

    def _conversation(self, ask: Ask) -> Conversation:
        return ask.conversation(self.encoder.tiling.max_tiles)

    def _prompt(self, ask: Ask) -> Prompt:
        sampling = read_options(ask.options)
        increment = require_increment(ask.visual_increment)
        encoded = self.encoder.encode(self._conversation(ask), generate=True)
        chosen = "max_new_tokens" in ask.options
        sampling = fit_answer(encoded, sampling, self.family.model, increment, chosen)
        return Prompt(encoded, sampling, increment)

    def _item(self, index: int, item: Question | Mapping[str, Any], options: Mapping[str, Any]) -> Prompt:
        given = item if isinstance(item, Mapping) else {"question": item}
        try:
            return self._prompt(Ask.read({**options, **given}))
        except (ValueError, OSError) as error:
            raise ValueError(f"items[{index}]: {error}") from error

    def _answer(self, prompts: Sequence[Prompt], progress: Progress | None = None) -> list[Completion]:
        return self.engine.generate(
            [prompt.encoded for prompt in prompts],
            [prompt.sampling for prompt in prompts],
            progress,
            [prompt.visual_increment for prompt in prompts],
        )


def _ask(
    question: Question, pictures: Pictures, videos: Clips, history: History | None, options: AskOptions
) -> Ask:
    given = {"question": question, "pictures": pictures, "videos": videos, "history": history}
    return Ask.read({**given, **options})
