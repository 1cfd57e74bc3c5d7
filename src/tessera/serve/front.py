"""One request from its body to its answer: let in, read, prepared, submitted, told whole or in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from tessera.chat.message import Conversation
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.service import Service
from tessera.engine.core.ticket import Ticket
from tessera.engine.links.linker import AnswerLink
from tessera.scoring.selection.responses import ChosenResponse
from tessera.serve.ask import AnswerForm, AnswerJob, Ask
from tessera.serve.choosing import AskedSelection, Rater, chosen_among
from tessera.serve.faults import ApiFault, invalid
from tessera.serve.forms.grammars import asked_in
from tessera.serve.forms.links import decode_links
from tessera.serve.http.body import parse, unless_gone
from tessera.serve.http.entrance import Entrance
from tessera.serve.http.layers import JsonReply
from tessera.serve.prepare import Preparer
from tessera.serve.said import Said
from tessera.serve.settings import ServeSettings
from tessera.serve.tickets import Events, merged

TINY = 2**13
"""Bytes of a body that is read at once: a thread that does it would take longer."""
MakeForm = Callable[[dict[str, Any]], AnswerForm]


class Front(Entrance):
    """Where requests come in. One model, one engine's service, one set of limits."""

    def __init__(
        self,
        model: ChatModel,
        service: Service,
        settings: ServeSettings,
        preparer: Preparer | None = None,
        critic: Rater | None = None,
    ) -> None:
        super().__init__(settings.model_copy(update={"critic": critic is not None}))
        self.model, self.service, self.critic = model, service, critic
        self.preparer = preparer or Preparer(model, self.settings)

    async def answer(self, scope: Scope, receive: Receive, send: Send, make: MakeForm) -> None:
        """One request to an endpoint whose form is made of its body. ApiFault before anything was sent."""
        begun = time.monotonic()
        owner = scope["state"]["owner"]
        with self.gate.enter(owner):
            async with AsyncExitStack() as held:
                work = partial(self._prepared, make=make, held=held)
                form, jobs = await self.with_body(scope, receive, work)
                last = await unless_gone(receive, self._reply(form, jobs, owner, begun, send))
        for message in last:  # who has it may ask again at once, and finds the place free
            await send(message)

    async def _prepared(
        self, raw: bytes, make: MakeForm, held: AsyncExitStack
    ) -> tuple[AnswerForm, list[AnswerJob]]:
        if len(raw) <= TINY:
            form = self._form(raw, make)
        else:
            form = await self.preparer.quick.run(partial(self._form, raw, make))
        return form, await self.preparer.jobs(form.ask, held)

    def _form(self, raw: bytes, make: MakeForm) -> AnswerForm:
        body = parse(raw)
        self.require_model(body.get("model"))
        form, most = make(body), self.settings.limits.choices
        if (asked := form.ask.choices * max(1, len(form.ask.prompts))) > most:
            field = "n" if form.ask.selection is None else "selection.n"
            message = f"{field}: {asked} answers are more than {most} (limits.choices); ask for fewer"
            raise ApiFault(400, message, "too_many_choices", field)
        return form

    async def _reply(
        self, form: AnswerForm, jobs: Sequence[AnswerJob], owner: str, begun: float, send: Send
    ) -> list[Message]:
        """Submit the jobs and tell their answers, but for the last messages, which come back.

        Who leaves early cancels what is left of them.
        """
        said = [said_of(number, job, form.ask) for number, job in enumerate(jobs)]
        tickets: list[Ticket] = []
        try:
            await self.preparer.quick.run(partial(self._submit, jobs, owner, tickets))
            first = partial(self.meters.first_token.since, begun)
            async with aclosing(merged(tickets, first)) as events:
                if form.ask.streams:
                    return await self._stream(form, said, events, send)
                return await self._whole(form, said, events, jobs[0].talk)
        finally:
            for ticket in tickets:
                ticket.cancel()

    def _submit(self, jobs: Sequence[AnswerJob], owner: str, tickets: list[Ticket]) -> None:
        """Tickets of the jobs, each noted at once: who is cancelled meanwhile has to give all of them up."""
        try:
            for job in jobs:
                tickets.append(self.service.submit(job.prompt, job.sampling, job.increment, owner))
        except ValueError as error:
            message, grammar = str(error), job.sampling.grammar
            if grammar is not None and message.startswith("grammar: "):
                message = f"{asked_in(grammar)}: {message.removeprefix('grammar: ')}"
            raise invalid(ValueError(message)) from error
        except RuntimeError as error:  # the service is closed, or its thread is dead
            raise ApiFault(503, "the engine takes no requests", "engine_unavailable", wait=5) from error

    async def _whole(
        self, form: AnswerForm, said: Sequence[Said], events: Events, talk: Conversation | None
    ) -> list[Message]:
        async for number, event in events:
            said[number].take(event)
        await self._decode(link for one in said for link in one.links)
        if form.ask.selection is not None and talk is not None:
            chosen = await self._chosen(said, form.ask.selection, talk)
            reply = JsonReply(form.selected(said, chosen))
        else:
            reply = await self.preparer.quick.run(lambda: JsonReply(form.whole(said)))
        return [
            {"type": "http.response.start", "status": 200, "headers": reply.raw_headers},
            {"type": "http.response.body", "body": reply.body},
        ]

    async def _chosen(
        self, said: Sequence[Said], asked: AskedSelection, talk: Conversation
    ) -> ChosenResponse:
        """One critic rates one request at a time."""
        pool = self.preparer.rating if asked.rule.scored else self.preparer.quick
        try:
            return await pool.run(partial(chosen_among, said, asked, talk, self.critic))
        except ValueError as error:
            raise invalid(error, "selection_failed") from error

    async def _decode(self, links: Iterable[AnswerLink]) -> None:
        """What links become is made off the event loop."""
        if found := tuple(links):
            await self.preparer.slow.run(partial(decode_links, found))

    async def _stream(
        self, form: AnswerForm, said: Sequence[Said], events: Events, send: Send
    ) -> list[Message]:
        """Pieces as they come. A fault is told in the stream, for the status has been sent."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def tell(pieces: Iterable[bytes]) -> None:
            if body := b"".join(pieces):
                await send({"type": "http.response.body", "body": body, "more_body": True})

        await tell(form.opening(said))
        try:
            async for number, event in events:
                delta = said[number].take(event)
                await self._decode(delta.links)
                await tell(form.piece(said[number], delta))
            last = b"".join(form.closing(said))
        except ApiFault as fault:
            last = b"".join(form.broken(fault))
        return [{"type": "http.response.body", "body": last}]


def said_of(number: int, job: AnswerJob, ask: Ask) -> Said:
    """An answer of which nothing has been said."""
    begun = "" if ask.echo else job.sampling.begun.lstrip()
    prompt = job.text if ask.echo else ""
    return Said(
        number,
        len(job.prompt.ids),
        apart=ask.messages is not None,
        called=bool(ask.tools.tools),
        begun=begun,
        prompt=prompt,
        keeps=not ask.streams,
        linker=job.linker,
    )
