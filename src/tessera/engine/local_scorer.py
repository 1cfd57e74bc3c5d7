"""A model on this machine as the scorer of a filter: many single prompts in, one reply each."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from tessera.chat.message import Conversation, say
from tessera.engine.answer import Answer
from tessera.engine.chat_model import ChatModel

R = TypeVar("R")


class LocalScorer(Generic[R]):
    """Answers of a model of the series, `batch` prompts at once, always the best token.

    name: the model and what changes an answer. reply: makes what is returned from the text, the tokens of the
    prompt, those of the answer, and the reason why there is none, if so; who asks brings its own type along.
    """

    def __init__(
        self,
        model: ChatModel,
        name: str,
        batch: int,
        max_new_tokens: int,
        reply: Callable[[str, int, int, str | None], R],
    ) -> None:
        self.name = name
        self._model, self._batch, self._max_new_tokens, self._reply = model, batch, max_new_tokens, reply

    def replies(self, prompts: Iterable[str | None], keep: Callable[[str, R], None]) -> Iterator[R | None]:
        """One reply per prompt, in order, None for None; one that is too long, or fails, gets an error.

        `keep` takes each prompt with its reply as soon as it is there, unless it is an error.
        """
        upcoming = iter(prompts)
        while chunk := list(islice(upcoming, self._batch)):
            answered = self._answer([prompt for prompt in chunk if prompt is not None], keep)
            for prompt in chunk:
                yield None if prompt is None else next(answered)

    def _answer(self, prompts: list[str], keep: Callable[[str, R], None]) -> Iterator[R]:
        ready, replies = [], {}
        for number, prompt in enumerate(prompts):
            try:
                # A conversation, not a string: <image> in the material is text, no place for a picture.
                asked = Conversation((say("user", prompt),))
                ready.append((number, self._model.prompt(asked, max_new_tokens=self._max_new_tokens)))
            except ValueError as error:
                replies[number] = self._reply("", 0, 0, str(error))
        done = self._model.complete([prompt for _, prompt in ready]) if ready else []
        for (number, _), completion in zip(ready, done, strict=True):
            fault = completion.fault or None
            reply = self._reply(Answer(completion.text), completion.prompt_tokens, len(completion.ids), fault)
            if fault is None:
                keep(prompts[number], reply)
            replies[number] = reply
        return iter([replies[number] for number in range(len(prompts))])
