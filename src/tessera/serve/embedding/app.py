"""The endpoints of a server around a pair, as one Starlette application."""

from __future__ import annotations

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tessera.serve.app import surrounded
from tessera.serve.embedding.work import EmbeddingFront
from tessera.serve.faults import ApiFault
from tessera.serve.http.layers import JsonReply

CHATS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize")
NO_CHAT = (
    "this server has a pair of pictures and texts, which answers nothing: POST /v1/embeddings, or serve a "
)
NO_CHAT += "chat model beside it"


def build_embedding_app(front: EmbeddingFront) -> Starlette:
    """Everything that one server answers to."""
    model = {
        "id": front.settings.name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "tessera",
        "embedding_length": front.model.width,
    }

    async def root(request: Request) -> Response:
        endpoints = [route.path for route in request.app.routes if route.path not in CHATS]
        return JsonReply({"tessera": "embeddings of pictures and texts", "endpoints": endpoints})

    async def health(request: Request) -> Response:
        state = "draining" if front.gate.closed else "ok"
        return JsonReply({"status": state}, 200 if state == "ok" else 503)

    async def metrics(request: Request) -> Response:
        inside = {"requests_inside": front.gate.count, "bodies_waiting": front.bodies.waiting}
        text = front.meters.text(None, inside)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def models(request: Request) -> Response:
        if (name := request.path_params.get("name")) is None:
            return JsonReply({"object": "list", "data": [model]})
        front.require_model(name)
        return JsonReply(model)

    async def embed(request: Request) -> Response:
        with front.gate.enter(request.state.owner):
            return JsonReply(await front.with_body(request.scope, request.receive, front.embedded))

    async def no_chat(request: Request) -> Response:
        raise ApiFault(400, f"model: {NO_CHAT}", "no_chat", "model")

    routes = [
        Route("/", root),
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", models),
        Route("/v1/embeddings", embed, methods=["POST"]),
        *(Route(path, no_chat, methods=["POST"]) for path in CHATS),
    ]
    return surrounded(front, routes)
