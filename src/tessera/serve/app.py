"""The endpoints, and what surrounds them, as one Starlette application."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault
from tessera.serve.forms.chat import ChatBody, ChatForm
from tessera.serve.forms.completions import CompletionBody, CompletionForm
from tessera.serve.forms.responses import ResponseBody, ResponsesForm
from tessera.serve.forms.tokenize import TokenizeBody, tokenized
from tessera.serve.front import Front, MakeForm
from tessera.serve.http.body import parse
from tessera.serve.http.entrance import Entrance
from tessera.serve.http.keys import ApiKeys
from tessera.serve.http.layers import CountLayer, JsonReply, KeyLayer, refusal
from tessera.serve.page.routes import page, page_files, wants_page


class AnswerRoute:
    """An endpoint whose answers the model makes."""

    def __init__(self, front: Front, make: MakeForm) -> None:
        self.front, self.make = front, make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await self.front.answer(scope, receive, send, self.make)


def build_app(front: Front) -> Starlette:
    """Everything that one server answers to."""
    settings, tokenizer = front.settings, front.model.tokenizer
    chat = AnswerRoute(front, lambda body: ChatForm(ChatBody.read(body), settings, tokenizer))
    raw = AnswerRoute(front, lambda body: CompletionForm(CompletionBody.read(body), settings, tokenizer))
    response = AnswerRoute(front, lambda body: ResponsesForm(ResponseBody.read(body), settings, tokenizer))
    routes = [
        Route("/", _root),
        page_files(),
        Route("/health", _health(front)),
        Route("/metrics", _metrics(front)),
        Route("/v1/models", _models(front)),
        Route("/v1/models/{name:path}", _models(front)),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", raw, methods=["POST"]),
        Route("/v1/responses", response, methods=["POST"]),
        Route("/v1/embeddings", _no_pair, methods=["POST"]),
        Route("/tokenize", _tokenize(front), methods=["POST"]),
    ]
    return surrounded(front, routes)


def surrounded(entrance: Entrance, routes: Sequence[BaseRoute]) -> Starlette:
    """Endpoints with what surrounds them: counting, keys, names of the server, and refusals in one shape."""
    settings = entrance.settings
    layers = [Middleware(CountLayer, meters=entrance.meters, seconds=settings.limits.send_seconds)]
    if settings.origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type"],
            )
        )
    layers.append(Middleware(KeyLayer, keys=ApiKeys(settings.keys), hosts=settings.hosts))
    return Starlette(
        routes=routes,
        middleware=layers,
        exception_handlers={ApiFault: _fault, HTTPException: _http_fault, 500: _crash},
    )


Handler = Callable[[Request], Coroutine[Any, Any, Response]]
NO_PAIR = (
    "this server has a chat model, which makes no embeddings; serve a pair of pictures and texts, such as "
)
NO_PAIR += "OpenGVLab/InternVL-14B-224px, beside it"


async def _root(request: Request) -> Response:
    """The chat page for browsers, the endpoints for programs."""
    if wants_page(request):
        return page()
    endpoints = [route.path for route in request.app.routes]
    return JsonReply({"tessera": "an OpenAI-compatible server", "endpoints": endpoints})


def _health(front: Front) -> Handler:
    async def health(request: Request) -> Response:
        """200 while requests are taken."""
        state = "draining" if front.gate.closed else "ok" if front.service.alive else "failed"
        return JsonReply({"status": state}, 200 if state == "ok" else 503)

    return health


def _metrics(front: Front) -> Handler:
    async def metrics(request: Request) -> Response:
        """Prometheus' text."""
        inside = {
            "requests_inside": front.gate.count,
            "bodies_waiting": front.bodies.waiting,
            "prompts_waiting": front.preparer.work.waiting,
            "tokens_held": front.preparer.work.out["tokens"],
            "tiles_held": front.preparer.work.out["tiles"],
        }
        text = front.meters.text(front.service.stats(), inside)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return metrics


def _models(front: Front) -> Handler:
    model = {
        "id": front.settings.name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "tessera",
        "max_model_len": front.model.family.model.decoder.longest_context,
    }

    async def models(request: Request) -> Response:
        """The one model, in a list or alone."""
        if (name := request.path_params.get("name")) is None:
            return JsonReply({"object": "list", "data": [model]})
        front.require_model(name)
        return JsonReply(model)

    return models


def _tokenize(front: Front) -> Handler:
    longest = front.model.family.model.decoder.longest_context

    def read(raw: bytes) -> TokenizeBody:
        body = TokenizeBody.read(parse(raw))
        front.require_model(body.model)
        return body

    async def look(raw: bytes) -> dict[str, Any]:
        body = await front.preparer.quick.run(partial(read, raw))
        return tokenized(await front.preparer.seen(body.ask), longest)

    async def tokenize(request: Request) -> Response:
        """What the model would see."""
        with front.gate.enter(request.state.owner):
            return JsonReply(await front.with_body(request.scope, request.receive, look))

    return tokenize


async def _no_pair(request: Request) -> Response:
    raise ApiFault(400, f"embeddings: {NO_PAIR}", "no_embeddings")


async def _fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiFault)
    return refusal(error)


async def _http_fault(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, another method."""
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {shown(request.url.path, bare=True)}"
    code = "not_found" if error.status_code == 404 else "bad_method"
    message = f"{asked}: {error.detail} (GET / lists the endpoints)"
    reply = refusal(ApiFault(error.status_code, message, code))
    reply.headers.update(error.headers or {})
    return reply


async def _crash(request: Request, error: Exception) -> Response:
    """A fault of the server: its log tells more, its client nothing of the inside."""
    reply = refusal(ApiFault(500, "the server failed at this request; its log says why", "internal_error"))
    reply.headers["connection"] = "close"  # uvicorn does
    return reply
