"""A small HTTP server that answers like an inference engine; what it feeds is decided by a function."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]
"""Status and JSON value (bytes are sent as they are)."""
Routes = dict[str, Callable[[dict[str, Any]], Answer]]


@contextmanager
def served(routes: Routes) -> Iterator[str]:
    """The address of a server with these routes; others are 404, as are routes a real engine lacks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({})

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body: dict[str, Any]) -> None:
            body["authorization"] = self.headers.get("Authorization")
            status, value = routes.get(self.path, lambda _: (404, {"detail": "Not Found"}))(body)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def engine_routes(ids_of: Callable[[list[dict[str, Any]]], list[int]], tokenize: bool = True) -> Routes:
    """Routes of an engine that feeds `ids_of(messages)`: vLLM's, or only the OpenAI ones."""

    def completion(body: dict[str, Any]) -> Answer:
        return 200, {"choices": [{}], "usage": {"prompt_tokens": len(ids_of(body["messages"]))}}

    def tokens(body: dict[str, Any]) -> Answer:
        ids = ids_of(body["messages"])
        return 200, {"tokens": ids, "count": len(ids), "max_model_len": 8192}

    routes: Routes = {
        "/v1/models": lambda _: (200, {"data": [{"id": "served"}]}),
        "/v1/chat/completions": completion,
    }
    return routes | {"/tokenize": tokens} if tokenize else routes
