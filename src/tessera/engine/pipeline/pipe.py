"""What `tessera.pipeline` returns: LMDeploy's calls on the model cards, over this package's engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tessera.chat.message import Conversation, say
from tessera.engine.batch import FailedItems, made_ahead, named
from tessera.engine.chat_model import ChatModel, Prompt
from tessera.engine.core.sequence import Sequence as Row
from tessera.engine.core.ticket import Event
from tessera.engine.pipeline.config import GenerationConfig
from tessera.engine.pipeline.prompts import is_one, read_prompt, rounds
from tessera.engine.pipeline.response import ChatSession, Response, best_of, joined
from tessera.runtime.shown import shown

GIVEN = GenerationConfig | Sequence[GenerationConfig] | None
"""One configuration for all questions, or one each; None is LMDeploy's defaults."""


class Pipeline:
    """One model and the calls of LMDeploy's pipeline. A question is a text, (text, pictures), or messages.

    `pipe(question)` gives a Response, `pipe([question, ...])` a list of them. All raise ValueError that names
    what is wrong, a batch with the question's number.
    """

    def __init__(self, model: ChatModel) -> None:
        self.model = model

    def __call__(self, prompts: Any, gen_config: GIVEN = None) -> Any:
        """The answer to one question, or the answers to a list of them, in their order."""
        asked, configs = _paired(rounds(prompts), gen_config)

        def ready(index: int) -> Row:
            prompt = named(index, self._ready, (asked[index], configs[index]))
            return self.model.engine.sequence(prompt.encoded, prompt.sampling, prompt.visual_increment)

        found: dict[int, Response] = {}
        faults: dict[int, str] = {}
        for index, done in self.model.engine.answers(made_ahead(ready, range(len(asked)))):
            found[index] = Response.of(done, index)
            if done.fault:
                faults[index] = done.fault
        ordered = [found[index] for index in range(len(asked))]
        if faults:
            raise FailedItems(ordered, faults)
        return ordered[0] if is_one(prompts) else ordered

    def stream_infer(self, prompts: Any, gen_config: GIVEN = None) -> Iterator[Response]:
        """Pieces of one answer, or of several as they come (`index`: whose). Mistakes are raised at once."""
        asked, configs = _paired(rounds(prompts), gen_config)
        pairs = enumerate(zip(asked, configs, strict=True))
        return self._pieces([named(index, self._ready, pair) for index, pair in pairs])

    def chat(
        self,
        prompt: Any,
        session: ChatSession | None = None,
        gen_config: GenerationConfig | None = None,
        stream_response: bool = False,
    ) -> Any:
        """A turn of a talk: the session with its `response`. With `stream_response` its pieces; the session
        knows the turn when the last of them was taken.
        """
        session = ChatSession() if session is None else session
        before, asked = session.talk.messages, self._talk(prompt)
        # The system text is said once, in front.
        fresh = tuple(m for m in asked.messages if not before or m.role != "system")
        talk = Conversation((*before, *fresh))
        ready = self._prompt(talk, gen_config or GenerationConfig())
        pieces = self._turn(session, prompt, talk, ready)
        if stream_response:
            return pieces
        for _ in pieces:
            pass
        return session

    def session(self) -> ChatSession:
        """A talk in which nothing has been said."""
        return ChatSession()

    def close(self) -> None:
        """Nothing is held that the model itself does not hold."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _talk(self, prompt: Any) -> Conversation:
        return read_prompt(prompt, self.model.encoder.tiling.max_tiles, self.model.family.visual_increment)

    def _ready(self, asked: tuple[Any, GenerationConfig]) -> Prompt:
        return self._prompt(self._talk(asked[0]), asked[1])

    def _prompt(self, talk: Conversation, config: GenerationConfig) -> Prompt:
        prompt = self.model.prompt(talk, **config.options())
        most = min(config.max_new_tokens, prompt.sampling.max_new_tokens)
        return replace(prompt, sampling=prompt.sampling.model_copy(update={"max_new_tokens": most}))

    def _turn(
        self, session: ChatSession, asked: Any, talk: Conversation, ready: Prompt
    ) -> Iterator[Response]:
        """The pieces of a turn; when all were taken the session knows it."""
        pieces = []
        for piece in self._pieces([ready]):
            pieces.append(piece)
            yield piece
        session.response = joined(pieces)
        session.history.append((asked, session.response.text))
        session.talk = Conversation((*talk.messages, say("assistant", session.response.text)))

    def _pieces(self, prompts: Sequence[Prompt]) -> Iterator[Response]:
        engine = self.model.engine
        rows = [engine.sequence(one.encoded, one.sampling, one.visual_increment) for one in prompts]
        tickets = [engine.loop.submit(row) for row in rows]
        counts = [0] * len(tickets)
        left = dict(enumerate(tickets))
        try:
            while left:
                engine.loop.until(lambda: any(ticket.ready for ticket in left.values()))
                for index, ticket in [entry for entry in left.items() if entry[1].ready]:
                    if (event := next(ticket, None)) is None:
                        del left[index]
                        continue
                    counts[index] += len(event.ids)
                    yield _piece(event, index, counts[index], len(prompts[index].encoded.ids))
        finally:
            for ticket in tickets:
                ticket.cancel()
            engine.loop.sweep()


def _piece(event: Event, index: int, count: int, asked: int) -> Response:
    """What one step added. ValueError where the model failed."""
    if event.fault:
        raise ValueError(event.fault)
    return Response(event.piece, count, asked, event.finish, event.ids, best_of(event.logprobs), index)


def _paired(asked: Sequence[Any], configs: GIVEN) -> tuple[Sequence[Any], Sequence[GenerationConfig]]:
    """Every question with its configuration."""
    if configs is None or isinstance(configs, GenerationConfig):
        return asked, [configs or GenerationConfig()] * len(asked)
    if len(configs) != len(asked):
        raise ValueError(f"gen_config: {len(configs)} for {len(asked)} prompts; give one, or one each")
    return asked, configs


def own_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `tessera.load` among those of a `pipeline` call. ValueError for LMDeploy's own."""
    for name, instead in LMDEPLOY.items():
        if given.get(name) is not None:
            raise ValueError(f"{name} = {shown(given[name])}: {instead}")
    return {name: value for name, value in given.items() if name not in LMDEPLOY}


LMDEPLOY: Mapping[str, str] = {
    "backend_config": "the engine here sizes itself; leave it out",
    "chat_template_config": "the template follows from the model's files; leave it out",
    "speculative_config": "tokens that the prompt makes likely are guessed anyway; leave it out",
    "log_level": "set the level of the logger 'tessera'",
    "model_name": "the template follows from the model's files; leave it out",
}
"""Argument of LMDeploy's `pipeline` -> what is done here."""
