"""The one HTTP client: JSON from an OpenAI-compatible server; time, tries, size and requests are limited."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from tessera.runtime.config import Config
from tessera.runtime.shown import shown

if TYPE_CHECKING:
    import httpx

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""Items read ahead, per request in flight: a slow answer at the head doesn't stop the others."""
LONGEST_WAIT = 60.0
"""Seconds between two tries, whatever the server asks for."""
LARGEST = 64 << 20
"""Bytes of an answer that are read, unpacked; nothing that is asked for here comes near."""
AGAIN = (408, 409, 425, 429)
"""Statuses below 500 that may pass."""

_WHOSE = "check that an OpenAI-compatible server is at this address"


class RequestError(ValueError):
    """A request without a usable answer.

    status: of the answer, 0 when there was none or not all of it. wait: seconds until another try makes
    sense, None for never.
    """

    def __init__(self, message: str, status: int = 0, wait: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait


class RequestLimits(Config):
    """How long, how often and how many at once a server is asked."""

    concurrency: int = Field(default=16, ge=1)
    """most requests in flight"""
    timeout: float = Field(default=120.0, gt=0)
    """seconds that an answer may take"""
    attempts: int = Field(default=5, ge=1)
    """tries of a request, with a doubling wait between them"""
    first_wait: float = Field(default=1.0, ge=0)
    """seconds before the second try; a server's Retry-After can make a wait longer"""


class Endpoint:
    """A server at `address`, with or without /v1; `key` is sent as a bearer token.

    Redirects are errors: they could lead the key elsewhere. Raises ValueError for what is no address.
    """

    def __init__(self, address: str, key: str | None, limits: RequestLimits) -> None:
        import httpx  # the help of the command line must not wait for it

        self.root = address.rstrip("/").removesuffix("/v1")
        self.limits = limits
        try:
            url = httpx.URL(self.root)
        except httpx.InvalidURL:
            url = httpx.URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"address: {address!r} is no address; write http://host:port")
        self._client = httpx.Client(
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            timeout=limits.timeout,
            limits=httpx.Limits(max_connections=limits.concurrency),
            follow_redirects=False,
        )
        self._pool = ThreadPoolExecutor(limits.concurrency, "requests")

    def get(self, route: str) -> dict[str, Any]:
        """The JSON object at a route, tried once. RequestError names address and remedy."""
        return self._once("GET", route, None)

    def post(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers a body. RequestError names address and remedy, after the last try."""
        wait, tries = self.limits.first_wait, 1
        while True:
            try:
                return self._once("POST", route, body)
            except RequestError as error:
                if error.wait is None or tries >= self.limits.attempts:
                    raise
                wait = max(wait, error.wait)
            # Spread out, so that requests which failed together don't come back together.
            time.sleep(min(wait, LONGEST_WAIT) * random.uniform(0.75, 1.25))
            wait, tries = wait * 2, tries + 1

    def first_model(self) -> str:
        """The first model that the server lists. ValueError when it can't be asked, or lists none."""
        try:
            return str(self.get("/v1/models")["data"][0]["id"])
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{self.root}/v1/models: lists no model; give the name it serves") from error

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of every item in threads, in order. Reads a bounded number of items ahead."""
        window: deque[Future[Result]] = deque()
        try:
            for item in items:
                window.append(self._pool.submit(function, item))
                if len(window) >= AHEAD * self.limits.concurrency:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()

    def close(self) -> None:
        """End the threads and connections; requests in flight are finished first."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _once(self, method: str, route: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        import httpx

        where = self.root + route
        try:
            with self._client.stream(method, where, json=body) as response:
                text = self._read(response).decode("utf-8", "replace")
        except httpx.HTTPError as error:
            said = f"no answer ({type(error).__name__}: {error}); check that the server runs at this address"
            raise RequestError(f"{where}: {said}", wait=0.0) from error
        if response.status_code != 200:
            raise _refusal(response, text)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"{where}: the answer is not JSON: {shown(text)}; {_WHOSE}", 200) from error
        if not isinstance(value, dict):
            raise RequestError(f"{where}: the answer is no JSON object: {shown(text)}; {_WHOSE}", 200)
        return value

    def _read(self, response: httpx.Response) -> bytes:
        """The whole body. httpx limits the wait for each piece; a trickle of pieces has its end here."""
        data, end = bytearray(), time.monotonic() + self.limits.timeout
        for piece in response.iter_bytes():
            data += piece
            if len(data) > LARGEST:
                raise RequestError(f"{response.url}: the answer has more than {LARGEST:,} bytes; {_WHOSE}")
            if time.monotonic() > end:
                reason = f"the answer took more than {self.limits.timeout:g} seconds"
                raise RequestError(f"{response.url}: {reason}; raise the timeout", wait=0.0)
        return bytes(data)


def _refusal(response: httpx.Response, text: str) -> RequestError:
    """What a status other than 200 says, and whether another try makes sense."""
    status, asked = response.status_code, response.headers.get("retry-after", "")
    said = f"{response.url}: status {status}: {shown(text, bare=True)}"
    if response.is_redirect:
        return RequestError(f"{said}; redirects are not followed, write the address it leads to", status)
    passing = status >= 500 or status in AGAIN
    # A date instead of seconds counts as no wish.
    wait = (float(asked) if asked.isdigit() else 0.0) if passing else None
    return RequestError(f"{said}; check the address, the model's name and the key", status, wait)
