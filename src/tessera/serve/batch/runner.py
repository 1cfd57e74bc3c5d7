"""Requests of a file through the server's own application, so many at once; answers written as they come."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from tessera.runtime.interrupt import ProcessLost, Stop
from tessera.runtime.shown import shown
from tessera.serve.batch.answers import AnswerFile
from tessera.serve.batch.requests import BatchFile, BatchLine
from tessera.serve.faults import ApiFault, bad_field, json_bytes

logger = logging.getLogger("tessera")
URLS = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
FIELDS = {"custom_id", "method", "url", "body"}


@dataclass(frozen=True)
class BatchCounts:
    """How far a batch is. `kept` were answered by an earlier run; `failed` have an error for an answer."""

    requests: int
    kept: int
    answered: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0

    @property
    def done(self) -> int:
        """Requests that have an answer, whatever it says."""
        return self.kept + self.answered + self.failed

    def plus(self, status: int, body: Any) -> BatchCounts:
        """With one more answer."""
        if status != 200:
            return replace(self, failed=self.failed + 1)
        told = body.get("usage") or {}  # other servers may leave it out
        names = ("prompt_tokens", "completion_tokens")
        asked, said = (
            told.get(name) or 0 for name in (names if names[0] in told else ("input_tokens", "output_tokens"))
        )
        return replace(
            self,
            answered=self.answered + 1,
            prompt_tokens=self.prompt_tokens + asked,
            answer_tokens=self.answer_tokens + said,
        )


class BatchRunner:
    """app: the server's application, without keys and with room for `at_once` requests."""

    def __init__(self, app: ASGIApp, at_once: int) -> None:
        self._app, self._at_once = app, at_once

    async def run(
        self, asked: BatchFile, answers: AnswerFile, told: Callable[[BatchCounts], object], stop: Stop
    ) -> BatchCounts:
        """Answer what has no answer yet; `told` hears of every answer. Once `stop` is asked, nothing begins.

        Raises ValueError when a file fails, ProcessLost when the engine does: what was answered is written.
        """
        counts = BatchCounts(len(asked.lines), len(answers.done))
        left = iter([line for line in asked.lines.values() if line.custom_id not in answers.done])

        async def work(client: httpx.AsyncClient) -> None:
            nonlocal counts
            while not stop.asked and (line := next(left, None)):
                status, body = await self._reply(client, asked, line)
                answers.add(line, status, body)
                counts = counts.plus(status, body)
                told(counts)

        transport = httpx.ASGITransport(self._logged, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://batch") as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._at_once):
                        group.create_task(work(client))
            except ExceptionGroup as failed:  # the first one ended the others
                raise failed.exceptions[0] from None
        return counts

    async def _reply(self, client: httpx.AsyncClient, asked: BatchFile, line: BatchLine) -> tuple[int, Any]:
        """Status and body of the answer to a request."""
        request = await asyncio.to_thread(asked.read, line)
        try:
            url, body = read_request(request)
        except ApiFault as fault:
            return fault.status, fault.body
        headers = {"content-type": "application/json"}
        reply = await client.post(url, content=json_bytes(body), headers=headers)
        if reply.status_code == 503:
            raise ProcessLost(
                f"{reply.json()['error']['message']}; the same command goes on where this ended"
            )
        return reply.status_code, reply.json()

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application; what went wrong in it is told in the log, as a server does."""
        try:
            await self._app({**scope, "state": {}}, receive, send)
        finally:
            if isinstance(sys.exception(), Exception):
                logger.exception("a request of the batch failed")


def read_request(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Address and body of a line. ApiFault for what no server would get, or could not answer whole."""
    if unknown := sorted(set(request) - FIELDS):
        raise ApiFault(400, f"{shown(unknown[0])} is no field of a line; leave it out", "unknown_field")
    url, body = request.get("url"), request.get("body")
    if request.get("method") != "POST":
        raise bad_field("method", f"{shown(request.get('method'))} is not 'POST'")
    if url not in URLS:
        raise bad_field("url", f"{shown(url)} is none of {', '.join(URLS)}")
    if not isinstance(body, dict):
        raise bad_field("body", f"{shown(body)} is no JSON object")
    if body.get("stream"):
        raise bad_field("body.stream", "a batch has whole answers; leave it out")
    return url, body
