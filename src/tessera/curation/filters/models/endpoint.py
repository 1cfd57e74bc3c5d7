"""Scores from an OpenAI-compatible server: several prompts at a time, and a stop when it fails for good."""

import json
import threading
from collections.abc import Iterable, Iterator
from functools import partial

from tessera.curation.filters.config import JudgeModelConfig
from tessera.curation.filters.models.scorer import Keep, Reply
from tessera.runtime.http import Endpoint, RequestError
from tessera.runtime.shown import shown

REFUSED = (401, 403, 404, 405)
"""The address, the key or the model's name is wrong: no prompt will ever be answered."""


class EndpointScorer:
    """A model behind `POST /v1/chat/completions`.

    ValueError when there is no such address, or no model is named and the server lists none.
    """

    def __init__(self, config: JudgeModelConfig, key: str | None = None) -> None:
        self.config = config
        self._endpoint = Endpoint(config.address or "", key, config)
        self._failures = 0
        self._lock = threading.Lock()
        self._model = config.name or self._endpoint.first_model()

    @property
    def name(self) -> str:
        """Model and the settings that change an answer; the same model elsewhere gives the same name."""
        return f"{self._model} {self.config.max_tokens} {json.dumps(self.config.extra, sort_keys=True)}"

    def replies(self, prompts: Iterable[str | None], keep: Keep) -> Iterator[Reply | None]:
        """One reply per prompt, in order. ValueError when the server refuses, or fails again and again."""
        return self._endpoint.map(partial(self._reply, keep), prompts)

    def close(self) -> None:
        """End the threads and connections; requests in flight are finished first."""
        self._endpoint.close()

    def _reply(self, keep: Keep, prompt: str | None) -> Reply | None:
        if prompt is None:
            return None
        reply = self._ask(prompt)
        with self._lock:
            self._failures = 0 if reply.error is None else self._failures + 1
            failures = self._failures
        if failures >= self.config.give_up_after:
            raise ValueError(
                f"{self._endpoint.root}: {failures} requests in a row without an answer, the last: "
                f"{reply.error}; run the same command again when the server is well; answers are kept"
            )
        if reply.error is None:
            keep(prompt, reply)
        return reply

    def _ask(self, prompt: str) -> Reply:
        """The text and the bill of an answer, or why there is none."""
        body = {
            "model": self._model, "messages": [{"role": "user", "content": prompt}], "temperature": 0.0,
            "max_tokens": self.config.max_tokens, **self.config.extra,
        }  # fmt: skip
        try:
            value = self._endpoint.post("/v1/chat/completions", body)
            text = value["choices"][0]["message"]["content"]
            used = value.get("usage") or {}
            return Reply(
                str(text or ""), int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0)
            )
        except RequestError as error:
            if error.status in REFUSED:
                fields = "model.address, model.name and model.key_variable"
                raise ValueError(f"{error}, which are {fields}") from error
            return Reply("", error=str(error))
        except (KeyError, IndexError, TypeError, AttributeError):
            return Reply("", error=f"no choices[0].message.content in {shown(value)}")
