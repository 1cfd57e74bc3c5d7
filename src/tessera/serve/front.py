"""One request from its body to its answer: let in, read, prepared, submitted, told whole or in pieces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send

from tessera.engine.chat_model import ChatModel
from tessera.engine.core.service import Service
from tessera.engine.core.ticket import Event, Ticket
from tessera.serve.admission import Gate, Stock
from tessera.serve.ask import AnswerForm, Ask, Job
from tessera.serve.faults import ApiFault, invalid
from tessera.serve.forms.stream import DONE, data
from tessera.serve.http.body import declared_bytes, parse, read_body, unless_gone
from tessera.serve.http.layers import JsonReply
from tessera.serve.http.meters import Meters
from tessera.serve.prepare import Preparer
from tessera.serve.said import Said
from tessera.serve.settings import ServeSettings

SMALL = 2**20
"""Bytes of a body that comes in without waiting for others."""
MakeForm = Callable[[dict[str, Any]], AnswerForm]
Events = AsyncIterator[tuple[int, Event]]
"""The number of an answer, and what happened to it."""


class Front:
    """Where requests come in. One model, one engine's service, one set of limits."""

    def __init__(
        self, model: ChatModel, service: Service, settings: ServeSettings, preparer: Preparer | None = None
    ) -> None:
        limits = settings.limits
        self.model, self.service, self.settings = model, service, settings
        self.gate = Gate(limits.requests, limits.requests_per_key)
        self.bodies = Stock(bytes=limits.total_bytes)
        self.preparer = preparer or Preparer(model, settings)
        self.meters = Meters()

    async def answer(self, scope: Scope, receive: Receive, send: Send, make: MakeForm) -> None:
        """One request to an endpoint whose form is made of its body. ApiFault before anything was sent."""
        begun = time.monotonic()
        owner = scope["state"]["owner"]
        with self.gate.enter(owner):
            async with AsyncExitStack() as held:
                work = partial(self._prepared, make=make, held=held)
                form, jobs = await self.with_body(scope, receive, work)
                await unless_gone(receive, self._reply(form, jobs, owner, begun, send))

    async def with_body(self, scope: Scope, receive: Receive, work: Callable[[dict[str, Any]], Any]) -> Any:
        """The result of a coroutine that is given the body; the body's bytes are counted until then."""
        size = declared_bytes(scope, self.settings.limits)
        async with self.bodies.hold(bytes=0 if size <= SMALL else size):
            raw = await read_body(receive, self.settings.limits)

            async def read() -> Any:
                return await work(await self.preparer.quick.run(partial(parse, raw)))

            return await unless_gone(receive, read())

    def require_model(self, name: object) -> None:
        """ApiFault when a request asks for another model; one that names none means this one."""
        if name not in (None, self.settings.name):
            message = f"model: this server has {self.settings.name!r} only (GET /v1/models)"
            raise ApiFault(404, message, "model_not_found", "model")

    async def _prepared(
        self, body: dict[str, Any], make: MakeForm, held: AsyncExitStack
    ) -> tuple[AnswerForm, list[Job]]:
        self.require_model(body.get("model"))
        form = make(body)
        if (asked := form.ask.choices * max(1, len(form.ask.prompts))) > self.settings.limits.choices:
            most = self.settings.limits.choices
            message = f"n: {asked} answers are more than {most} (limits.choices); ask for fewer"
            raise ApiFault(400, message, "too_many_choices", "n")
        return form, await self.preparer.jobs(form.ask, held)

    async def _reply(
        self, form: AnswerForm, jobs: Sequence[Job], owner: str, begun: float, send: Send
    ) -> None:
        """Submit the jobs and tell their answers; who leaves early cancels what is left of them."""
        said = [said_of(number, job, form.ask) for number, job in enumerate(jobs)]
        reply = self._stream if form.ask.streams else self._whole
        tickets: list[Ticket] = []
        try:
            for job in jobs:
                tickets.append(await self.preparer.quick.run(partial(self._submit, job, owner)))
            await reply(form, said, self._timed(merged(tickets), begun), send)
        finally:
            for ticket in tickets:
                ticket.cancel()

    def _submit(self, job: Job, owner: str) -> Ticket:
        try:
            return self.service.submit(job.prompt, job.sampling, job.increment, owner)
        except ValueError as error:
            raise invalid(error) from error
        except RuntimeError as error:  # the service is closed, or its thread is dead
            raise ApiFault(503, "the engine takes no requests", "engine_unavailable", wait=5) from error

    async def _timed(self, events: Events, begun: float) -> Events:
        """The events; when the first one came is counted."""
        first = True
        async for entry in events:
            if first:
                self.meters.first_token.add(time.monotonic() - begun)
                first = False
            yield entry

    async def _whole(self, form: AnswerForm, said: Sequence[Said], events: Events, send: Send) -> None:
        async for number, event in events:
            said[number].take(event)
        await send_reply(JsonReply(form.whole(said)), send)

    async def _stream(self, form: AnswerForm, said: Sequence[Said], events: Events, send: Send) -> None:
        """Pieces as they come. A fault is told in the stream, for the status has been sent."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def tell(pieces: Iterable[bytes], more: bool = True) -> None:
            if (body := b"".join(pieces)) or not more:
                await send({"type": "http.response.body", "body": body, "more_body": more})

        await tell(form.opening(said))
        try:
            async for number, event in events:
                await tell(form.piece(said[number], said[number].take(event)))
        except ApiFault as fault:
            await tell((data(fault.body), DONE), more=False)
            return
        await tell(form.closing(said), more=False)


async def merged(tickets: Sequence[Ticket]) -> Events:
    """Events of several answers as they come, each with the number of its ticket."""
    line: asyncio.Queue[tuple[int, Event | None]] = asyncio.Queue()

    async def read(number: int, ticket: Ticket) -> None:
        try:
            async for event in ticket:
                line.put_nowait((number, event))
        finally:
            line.put_nowait((number, None))

    tasks = [asyncio.ensure_future(read(*entry)) for entry in enumerate(tickets)]
    try:
        left = len(tasks)
        while left:
            number, event = await line.get()
            if event is not None:
                yield number, event
            else:
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def said_of(number: int, job: Job, ask: Ask) -> Said:
    """An answer of which nothing has been said."""
    begun = "" if ask.echo else job.sampling.begun.lstrip()
    prompt = job.text if ask.echo else ""
    return Said(number, len(job.prompt.ids), apart=bool(ask.messages), begun=begun, prompt=prompt)


async def send_reply(reply: JsonReply, send: Send) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": reply.status_code, "headers": reply.raw_headers})
    await send({"type": "http.response.body", "body": reply.body})
