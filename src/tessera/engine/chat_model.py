"""An opened model to talk to, what `tessera.load` returns: `chat`, `stream`, their coroutines, `batch`."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Any, Literal, Unpack, overload

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation
from tessera.chat.positions import require_increment
from tessera.checkpoints.load import Loaded
from tessera.engine.answer import Answer, AnswerStream, AsyncAnswerStream, Begun
from tessera.engine.batch import FailedItems, check_items, made_ahead, named
from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.sequence import Sequence
from tessera.engine.core.service import Service
from tessera.engine.core.ticket import Ticket
from tessera.engine.engine import Engine
from tessera.engine.links.decoders import Decode, LinkDecoders
from tessera.engine.links.linker import Linker
from tessera.engine.links.masks import MaskDecoding
from tessera.engine.request import ChatInput, ChatOptions, ChatRequest, Pictures, place_prompt
from tessera.engine.sampling.options import Sampling, SamplingOptions
from tessera.models.links.config import MASKS
from tessera.runtime.progress import Progress, silent

CARD_CALL = (
    "chat(question, pictures, ...): more was given without a name; the order here is chat(question, "
    "pictures), everything else by name: history=..., **generation_config"
)


@dataclass(frozen=True)
class Prompt:
    """A question ready for the engine: as messages, as ids and tiles, and how its answer is chosen."""

    conversation: Conversation
    encoded: Encoded
    sampling: Sampling
    visual_increment: float
    called: bool = False
    """Whether the model was told of functions, and calls are told apart."""
    linker: Linker | None = field(default=None, compare=False)
    """Binds the links of its answer, where the model has link tokens."""

    def answer(self, done: Completion) -> Answer:
        """What `chat` says when it is completed so."""
        links = self.linker.bind(done.links) if self.linker else ()
        return Answer(done.text, self.sampling.strip, done.logprobs, self.called, links)


class ChatModel:
    """One model with its tokenizer and encoder. An answer depends on the question and its options alone.

    A question is a string in which `<image>`, `<video>` and `<audio>` stand for media, a list of OpenAI-style
    messages, or a `Conversation`. Options, all by name: videos, audios (of models that hear), history (see
    `chat`), num_patches_list (tiles of each `<image>`, as on the cards), system (in place of the model's own
    system text), max_tiles (of a picture), visual_increment (V2PE: 1 or 1/2 ... 1/256; the family's by
    default), prefill (words with which the answer begins; or continue_final_message, with messages that end
    with them), tools, tool_choice and parallel_tool_calls (functions in OpenAI's form; `answer.calls` tells
    which are called), and how to choose: max_new_tokens, do_sample, strip and the other fields of `Sampling`.
    docs/open.md shows them in use, beside the model cards' calls.

    An answer is a string without white space around it and without the thought that thinking models open
    with: that is `answer.thought`; `answer.whole` is both, as histories keep it. `strip=False` gives that.
    With `logprobs=n`, `answer.logprobs` tells how likely every token was, and the n best in its place. Models
    with link tokens give `answer.links` (docs/link.md): states, and what the decoders of `register_decoder`
    make of them.

    `summary` says in one line what was opened; `notes` are harmless oddities and what was made of them.
    """

    def __init__(self, loaded: Loaded, max_batch: int = 64, limits: EngineLimits | None = None) -> None:
        self.loaded = loaded
        self.family, self.tokenizer, self.encoder = loaded.family, loaded.tokenizer, loaded.encoder
        self.summary, self.notes = loaded.summary, loaded.notes
        self.engine = Engine.of(loaded, max_batch, limits)
        self.decoders = LinkDecoders()
        if loaded.model.links is not None and loaded.model.links.masks is not None:
            self.register_decoder(MASKS, MaskDecoding(loaded.model))
        self._service: Service | None = None
        self._starting = threading.Lock()

    def __repr__(self) -> str:
        return self.summary

    def register_decoder(self, name: str, decode: Decode) -> None:
        """Let a decoder take the states of the link tokens that name it (docs/link.md).

        ValueError for a name that none of them declares.
        """
        links = self.family.links
        declared = {} if links is None else {link.token: link.decoder for link in links.tokens}
        self.decoders.register(name, decode, declared)

    @overload
    def chat(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        return_history: Literal[False] = False,
        **options: Unpack[ChatOptions],
    ) -> Answer: ...

    @overload
    def chat(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        *,
        return_history: Literal[True],
        **options: Unpack[ChatOptions],
    ) -> tuple[Answer, Any]: ...

    def chat(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        return_history: bool = False,
        *more: object,
        **options: Unpack[ChatOptions],
    ) -> Answer | tuple[Answer, Any]:
        """The answer, a string; with `return_history` a pair of it and the history for the next call.

        Media stand where the question says `<image>`, `<video>` and `<audio>`, or in front of it when it does
        not.
        As on the model cards, `history` is a list of (question, answer) and the media are those of all turns,
        in order. Messages carry media and turns themselves; their history is the messages and the answer.
        Raises ValueError naming what is wrong with question, media or options.
        """
        if more or not isinstance(return_history, bool):
            raise ValueError(CARD_CALL)
        given = {"question": question, "pictures": pictures, **options}
        request = ChatRequest.read(self.encoder.tiling.max_tiles, given, self.family.visual_increment)
        prompt = self._prompt(request)
        increment = prompt.visual_increment
        (done,) = self.engine.generate([prompt.encoded], prompt.sampling, visual_increment=increment)
        answer = prompt.answer(done.sound())
        return (answer, request.remembered(answer.whole)) if return_history else answer

    def stream(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        on_thought: Callable[[str], object] | None = None,
        **options: Unpack[ChatOptions],
    ) -> AnswerStream:
        """The answer of `chat` in pieces, each as soon as it is certain. Mistakes are raised by the call.

        on_thought: called with the pieces of the thought that thinking models open with. The stream has an
        `answer`: what has come so far, with its thought.
        """
        prompt = self.prompt(question, pictures, **options)
        events = self.engine.events(prompt.encoded, prompt.sampling, prompt.visual_increment)
        return AnswerStream(events, prompt.sampling.strip, on_thought, prompt.called, prompt.linker)

    async def achat(
        self, question: ChatInput, pictures: Pictures = (), **options: Unpack[ChatOptions]
    ) -> Answer:
        """`chat` for coroutines: many may wait at once, and are answered together.

        Pictures are read in a thread of asyncio's. A coroutine that is cancelled gives its place up.
        """
        prompt = await asyncio.to_thread(self.prompt, question, pictures, **options)
        ticket = self._submitted(prompt)
        try:
            return prompt.answer((await ticket.acompletion()).sound())
        finally:
            ticket.cancel()

    def astream(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        on_thought: Callable[[str], object] | None = None,
        **options: Unpack[ChatOptions],
    ) -> AsyncAnswerStream:
        """`stream` for coroutines, with `async for`. Mistakes are raised where the first piece is awaited."""

        async def begin() -> Begun:
            prompt = await asyncio.to_thread(self.prompt, question, pictures, **options)
            return self._submitted(prompt), prompt.sampling.strip, prompt.called, prompt.linker

        return AsyncAnswerStream(begin, on_thought)

    @property
    def service(self) -> Service:
        """The thread that answers coroutines, started when it is needed first; it ends with this model."""
        with self._starting:
            if self._service is None or not self._service.alive:
                self._service = Service(self.engine)
                weakref.finalize(self, self._service.close)
            return self._service

    def _submitted(self, prompt: Prompt) -> Ticket:
        return self.service.submit(prompt.encoded, prompt.sampling, prompt.visual_increment)

    def batch(
        self,
        items: Seq[ChatInput | Mapping[str, Any]],
        progress: Progress = silent,
        **options: Unpack[SamplingOptions],
    ) -> list[Answer]:
        """Answers to many questions at once, in their order; each is what `chat` answers.

        An item is a question, or a mapping with the arguments of `chat` by name, whose options win over the
        batch's. Text, pictures of any number of tiles and clips may stand side by side. Raises ValueError
        naming the first bad item; all but undecodable media are found before anything is computed. Items
        that the model itself fails at (scores that are not finite) are told when all are through, as
        `FailedItems`, whose `answers` has the others'.
        """
        check_items(items)
        given = [{**options, **(item if isinstance(item, Mapping) else {"question": item})} for item in items]
        requests = [named(index, self._checked, one) for index, one in enumerate(given)]
        answers: dict[int, Answer] = {}
        faults: dict[int, str] = {}
        apart: dict[int, tuple[bool, bool, Linker | None]] = {}

        def ready(index: int) -> Sequence:
            prompt = named(index, self._prompt, requests[index])
            apart[index] = prompt.sampling.strip, prompt.called, prompt.linker
            return self.engine.sequence(prompt.encoded, prompt.sampling, prompt.visual_increment)

        for index, done in self.engine.answers(made_ahead(ready, range(len(requests)))):
            strip, called, linker = apart.pop(index)
            links = linker.bind(done.links) if linker else ()
            answers[index] = Answer(done.text, strip, done.logprobs, called, links)
            if done.fault:
                faults[index] = done.fault
            progress("answers", len(answers), len(requests))
        ordered = [answers[index] for index in range(len(requests))]
        if faults:
            raise FailedItems(ordered, faults)
        return ordered

    def encode(self, question: ChatInput, pictures: Pictures = (), **options: Unpack[ChatOptions]) -> Encoded:
        """The ids int32 [T] and tiles uint8 [N, S, S, 3] that `chat` would give the model."""
        return self.prompt(question, pictures, **options).encoded

    def prompt(self, question: ChatInput, pictures: Pictures = (), **options: Unpack[ChatOptions]) -> Prompt:
        """What `chat` asks: for `complete`, or to look at (`encoder.render_text(prompt.conversation)`)."""
        given = {"question": question, "pictures": pictures, **options}
        request = ChatRequest.read(self.encoder.tiling.max_tiles, given, self.family.visual_increment)
        return self._prompt(request)

    def complete(self, prompts: Seq[Prompt]) -> list[Completion]:
        """Answers with their ids, why they ended and the length of their prompts, all at once.

        One that failed says so (`fault`, `sound()`).
        """
        return self.engine.generate(
            [prompt.encoded for prompt in prompts],
            [prompt.sampling for prompt in prompts],
            visual_increment=[prompt.visual_increment for prompt in prompts],
        )

    def _prompt(self, request: ChatRequest) -> Prompt:
        increment = request.visual_increment
        most = int(self.family.model.decoder.longest_context / require_increment(increment))
        talk = request.tools.told(request.conversation, self.encoder.system)
        encoded = self.encoder.encode(talk, generate=True, most_visual=most, prefill=request.prefill)
        _, room = place_prompt("the prompt", encoded.ids, increment, request.wanted, self.family.model)
        sampling = request.fitted(room, self.encoder.template.stop)
        parts = self.loaded.model.links
        linker = None if parts is None else Linker(parts, self.decoders, self.encoder, talk, encoded)
        return Prompt(talk, encoded, sampling, increment, bool(request.tools.tools), linker)

    def _checked(self, given: Mapping[str, Any]) -> ChatRequest:
        """A request whose options, marks, file headers and length are in order."""
        request = ChatRequest.read(self.encoder.tiling.max_tiles, given, self.family.visual_increment)
        talk = request.tools.told(request.conversation, self.encoder.system)
        ids = self.encoder.prompt_ids(talk, request.prefill)
        increment = request.visual_increment
        place_prompt("the prompt", ids, increment, request.wanted, self.family.model)
        return request
