"""A checkpoint on this machine as the scorer of `tessera data filter`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import tessera
from tessera.chat.message import Conversation, say
from tessera.curation.filters.config import JudgeModelConfig
from tessera.curation.filters.models.scorer import Keep, Reply


class LocalScorer:
    """Answers of a model of the series, `concurrency` prompts at once, always the best token."""

    def __init__(self, config: JudgeModelConfig) -> None:
        if config.checkpoint is None:
            raise ValueError("model.checkpoint is missing; give the folder or name of a checkpoint")
        self._config = config
        self._model = tessera.load(config.checkpoint)

    @property
    def name(self) -> str:
        """The checkpoint and what changes an answer."""
        return f"{self._config.checkpoint} {self._config.max_tokens}"

    def replies(self, prompts: Iterable[str | None], keep: Keep) -> Iterator[Reply | None]:
        """One reply per prompt, in order; a prompt that is too long for the model gets an error."""
        upcoming = iter(prompts)
        while chunk := list(islice(upcoming, self._config.concurrency)):
            answered = self._answer([prompt for prompt in chunk if prompt is not None], keep)
            for prompt in chunk:
                yield None if prompt is None else next(answered)

    def _answer(self, prompts: list[str], keep: Keep) -> Iterator[Reply]:
        ready, errors = [], {}
        for number, prompt in enumerate(prompts):
            try:
                # A conversation, not a string: <image> in the material is text, no place for a picture.
                asked = Conversation((say("user", prompt),))
                ready.append((number, self._model.prompt(asked, max_new_tokens=self._config.max_tokens)))
            except ValueError as error:
                errors[number] = Reply("", error=str(error))
        replies = dict(errors)
        if ready:
            done = self._model.complete([prompt for _, prompt in ready])
            for (number, _), completion in zip(ready, done, strict=True):
                reply = Reply(completion.text, completion.prompt_tokens, len(completion.ids))
                keep(prompts[number], reply)
                replies[number] = reply
        return iter([replies[number] for number in range(len(prompts))])
