"""Files from the public web: the address that was checked is the one that is connected to.

Names are resolved once for every hop, redirects included; a name that leads to any address inside is refused
(`addresses`). The connection goes to the checked number, with the name in `Host` and in TLS, so that a second
answer of the DNS changes nothing. No proxy, no cookies, no compression; bytes, hops and seconds are limited.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import NoReturn

import httpx

from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault
from tessera.serve.media.addresses import Address, is_public

HOPS = 4
"""Requests for one file: itself and three redirects."""
PORTS = (80, 443)
"""Other ports are other services."""


async def resolve(host: str, port: int) -> list[Address]:
    """All addresses of a name. Raises OSError when there is none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


@dataclass(frozen=True)
class RemoteFiles:
    """Fetches what requests name. The last three are for tests, whose servers are not public."""

    most_bytes: int
    seconds: float
    find: Callable[[str, int], Awaitable[list[Address]]] = resolve
    permitted: Callable[[Address], bool] = is_public
    ports: tuple[int, ...] = PORTS

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Made once: it reads the certificates of the system."""
        return httpx.create_ssl_context(trust_env=False)

    async def fetch(self, addresses: Iterable[str]) -> dict[str, bytes]:
        """The bytes of each address. ApiFault names the one that is refused or fails."""
        wanted, left = list(dict.fromkeys(addresses)), _Left(self.most_bytes)
        timeout = httpx.Timeout(self.seconds)
        try:
            async with (
                asyncio.timeout(self.seconds),
                httpx.AsyncClient(verify=self._trust, trust_env=False, timeout=timeout) as client,
            ):
                return {address: await self._file(client, address, left) for address in wanted}
        except TimeoutError as error:
            message = f"files from the web took more than {self.seconds:g} seconds (limits.remote_seconds)"
            raise ApiFault(400, f"{message}; send data: addresses", "remote_timeout") from error

    async def _file(self, client: httpx.AsyncClient, address: str, left: _Left) -> bytes:
        url = _url(address, address)
        for _ in range(HOPS):
            request = await self._request(client, url, address)
            try:
                response = await client.send(request, stream=True)
                try:
                    if not response.is_redirect:
                        return await _body(response, address, left)
                    url = _url(str(url.join(response.headers["location"])), address)
                finally:
                    await response.aclose()
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                _refuse(address, "no usable answer", error)
        _refuse(address, f"more than {HOPS - 1} redirects")

    async def _request(self, client: httpx.AsyncClient, url: httpx.URL, address: str) -> httpx.Request:
        """A request to a checked number of the name."""
        port = url.port or (443 if url.scheme == "https" else 80)
        if port not in self.ports:
            _refuse(address, f"port {port} is none of {', '.join(map(str, self.ports))}")
        try:
            found = await self.find(url.host, port)
        except (OSError, UnicodeError) as error:
            _refuse(address, "no such host", error)
        if not found or not all(map(self.permitted, found)):
            _refuse(address, "it does not lead to a public address")
        headers = {"host": url.netloc.decode("ascii"), "accept-encoding": "identity"}
        number = url.copy_with(host=str(found[0]))
        return client.build_request("GET", number, headers=headers, extensions={"sni_hostname": url.host})


class _Left:
    """Bytes that the files of a request may still have together."""

    def __init__(self, count: int) -> None:
        self.count = self.most = count

    def take(self, count: int, address: str) -> None:
        self.count -= count
        if self.count < 0:
            message = f"{shown(address)}: the files of a request have more than {self.most:,} bytes"
            raise ApiFault(400, f"{message} (limits.remote_bytes)", "remote_too_large")


async def _body(response: httpx.Response, address: str, left: _Left) -> bytes:
    if response.status_code != 200:
        _refuse(address, f"status {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        _refuse(address, "it comes compressed")  # a few bytes could become any number
    data = bytearray()
    async for piece in response.aiter_raw():
        left.take(len(piece), address)
        data += piece
    return bytes(data)


def _url(text: str, address: str) -> httpx.URL:
    """An address taken apart; ApiFault for one that is not plain http or https."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        _refuse(address, "it is no address", error)
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        _refuse(address, "only http:// and https:// without a user's name are fetched")
    return url


def _refuse(address: str, why: str, cause: Exception | None = None) -> NoReturn:
    message = f"{shown(address)} cannot be fetched: {why}; send a data: address"
    raise ApiFault(400, message, "remote_failed") from cause
