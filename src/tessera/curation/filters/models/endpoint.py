"""Scores from an OpenAI-compatible server: bounded concurrency, retries with a growing wait, time limits."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from tessera.curation.filters.config import ModelConfig
from tessera.curation.filters.models.scorer import Keep, Reply

AHEAD = 4
"""Prompts read ahead, per request in flight: a slow answer at the head doesn't stop the others."""
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
REFUSED = (401, 403, 404, 405)
"""The address, the key or the model's name is wrong: no prompt will ever be answered."""
AGAIN = (408, 409, 425, 429)


class EndpointScorer:
    """A model behind `POST /v1/chat/completions`; several threads ask at the same time.

    first_wait: seconds before the second try; later ones wait twice as long each, up to a minute, or as long
    as the server's Retry-After says.
    """

    def __init__(self, config: ModelConfig, key: str | None = None, first_wait: float = FIRST_WAIT) -> None:
        if config.address is None or not config.address.startswith(("http://", "https://")):
            raise ValueError(f"model.address: {config.address!r} is no address; write http://host:port")
        self.config = config
        self._root = config.address.rstrip("/").removesuffix("/v1")
        self._first_wait = first_wait
        self._client = httpx.Client(
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            timeout=config.timeout,
            limits=httpx.Limits(max_connections=config.concurrency),
        )
        self._pool = ThreadPoolExecutor(config.concurrency, "scorer")
        self._failures = 0
        self._jitter = random.Random()
        self._lock = threading.Lock()
        self._model = config.name or self._first_model()

    @property
    def name(self) -> str:
        """Model and the settings that change an answer; the same model elsewhere gives the same name."""
        return f"{self._model} {self.config.max_tokens} {json.dumps(self.config.extra, sort_keys=True)}"

    def replies(self, prompts: Iterable[str | None], keep: Keep) -> Iterator[Reply | None]:
        """One reply per prompt, in order. ValueError when the server refuses, or fails again and again."""
        window: deque[Future[Reply] | None] = deque()
        try:
            for prompt in prompts:
                window.append(None if prompt is None else self._pool.submit(self._reply, prompt, keep))
                if len(window) >= AHEAD * self.config.concurrency:
                    yield _result(window.popleft())
            while window:
                yield _result(window.popleft())
        finally:
            for future in window:
                if future is not None:
                    future.cancel()

    def close(self) -> None:
        """End the threads and connections; requests in flight are finished first."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _reply(self, prompt: str, keep: Keep) -> Reply:
        body = {
            "model": self._model, "messages": [{"role": "user", "content": prompt}], "temperature": 0.0,
            "max_tokens": self.config.max_tokens, **self.config.extra,
        }  # fmt: skip
        reply = self._try(body)
        with self._lock:
            self._failures = 0 if reply.error is None else self._failures + 1
            failures = self._failures
        if failures >= self.config.give_up_after:
            raise ValueError(
                f"{self._root}: {failures} requests in a row without an answer, the last: {reply.error}; "
                "run the same command again when the server is well: what was answered is kept"
            )
        if reply.error is None:
            keep(prompt, reply)
        return reply

    def _try(self, body: dict[str, Any]) -> Reply:
        """The answer to a request, or the reason of its last failure."""
        wait, reason = self._first_wait, ""
        for attempt in range(self.config.attempts):
            if attempt:
                time.sleep(min(wait, LONGEST_WAIT) * (0.75 + 0.5 * self._jitter.random()))
                wait *= 2
            try:
                response = self._client.post(self._root + "/v1/chat/completions", json=body)
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}"
                continue
            if response.status_code in REFUSED:
                raise ValueError(self._refusal(response))
            if response.status_code == 200:
                return _read(response)
            reason = f"status {response.status_code}: {response.text[:200]}"
            if response.status_code < 500 and response.status_code not in AGAIN:
                break
            wait = max(wait, _retry_after(response))
        return Reply("", error=reason)

    def _refusal(self, response: httpx.Response) -> str:
        return (
            f"{response.url}: status {response.status_code}: {response.text[:200]}; "
            "check model.address, model.name and model.key_variable"
        )

    def _first_model(self) -> str:
        try:
            response = self._client.get(self._root + "/v1/models")
            if response.status_code != 200:
                raise ValueError(self._refusal(response))
            return str(response.json()["data"][0]["id"])
        except httpx.HTTPError as error:
            raise ValueError(f"{self._root}: no answer ({error}); check that the server runs") from error
        except (KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{self._root}/v1/models lists no model; give model.name") from error


def _result(future: Future[Reply] | None) -> Reply | None:
    return None if future is None else future.result()


def _read(response: httpx.Response) -> Reply:
    """The text and the bill of an answer."""
    try:
        value = response.json()
        text = value["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError, ValueError):
        return Reply("", error=f"no choices[0].message.content in {response.text[:200]}")
    used = value.get("usage") or {}
    return Reply(
        str(text or ""), int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0)
    )


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 when it doesn't say, or names a date."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), LONGEST_WAIT) if asked.isdigit() else 0.0
