"""Fetching from the web: public addresses alone, through redirects and changing names, with limits."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from tessera.serve.faults import ApiFault
from tessera.serve.media.addresses import Address, is_public
from tessera.serve.media.remote import RemoteFiles
from tests.engine import tiny
from tests.serve.served import says, serving, shows

HIDDEN = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", HIDDEN)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_what_is_public(address: str) -> None:
    assert is_public(ip_address(address))


class Site(BaseHTTPRequestHandler):
    """A site of the web with every kind of answer; remembers what it was asked."""

    asked: list[tuple[str, str]] = []
    hold = threading.Event()

    def do_GET(self) -> None:
        self.asked.append((self.headers["host"], self.path))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        content = picture() if self.path == "/picture" else bytes(50_000) if self.path == "/large" else b"-"
        self.send_response(404 if self.path == "/missing" else 200)
        if self.path == "/packed":
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.path == "/slow":
            self.hold.wait(30)
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


def picture() -> bytes:
    file = io.BytesIO()
    tiny.picture(1, 60, 30).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield site.server_address[1]
    Site.hold.set()
    site.shutdown()
    thread.join()
    site.server_close()


def names(table: dict[str, list[str]]) -> Callable[[str, int], object]:
    """A DNS that gives the addresses of a name in turn, and the last one from then on."""

    async def find(host: str, port: int) -> list[Address]:
        if host not in table:
            raise OSError("no such host")
        entry = table[host].pop(0) if len(table[host]) > 1 else table[host][0]
        return [ip_address(each) for each in entry.split()]

    return find


def files(port: int, **table: list[str]) -> RemoteFiles:
    """Fetches from the site at 127.0.0.1, which counts as public here; nothing else on this machine does."""
    find = names({f"{name}.test": entry for name, entry in table.items()})
    return RemoteFiles(
        20_000,
        20.0,
        find,
        lambda address: str(address) == "127.0.0.1" or is_public(address),
        (port,),  # type: ignore[arg-type]
    )


def fetch(remote: RemoteFiles, *addresses: str) -> list[bytes]:
    return list(asyncio.run(remote.fetch(addresses)).values())


def test_the_checked_number_is_connected_to_and_the_name_is_sent(port: int) -> None:
    """A second answer of the DNS would lead inside: nobody asks it."""
    remote = files(port, site=["127.0.0.1", "127.0.0.2"])
    assert fetch(remote, f"http://site.test:{port}/picture") == [picture()]
    assert Site.asked[-1] == (f"site.test:{port}", "/picture")
    with pytest.raises(ApiFault, match="does not lead to a public address"):
        fetch(remote, f"http://site.test:{port}/picture")


def test_redirects_are_checked_like_addresses(port: int) -> None:
    remote = files(port, site=["127.0.0.1"], inside=["10.0.0.1"], both=["127.0.0.1 10.0.0.1"])
    start = f"http://site.test:{port}/to/"
    assert fetch(remote, start + "/picture") == [picture()]
    for target in (
        f"http://inside.test:{port}/picture",
        f"http://both.test:{port}/picture",
        f"http://127.0.0.2:{port}/picture",
        "http://169.254.169.254/latest/meta-data",
        f"//inside.test:{port}/x",
        "file:///etc/passwd",
        f"http://user:secret@site.test:{port}/picture",
        "http://site.test:22/",
    ):
        before = len(Site.asked)
        with pytest.raises(ApiFault) as caught:
            fetch(remote, start + target)
        assert caught.value.status == 400 and len(Site.asked) == before + 1, "the second hop was never asked"
    with pytest.raises(ApiFault, match="more than 3 redirects"):
        fetch(remote, start * 4 + "/picture".removeprefix("/"))


def test_limits_of_bytes_and_kinds_of_answers(port: int) -> None:
    remote = files(port, site=["127.0.0.1"])
    site = f"http://site.test:{port}"
    with pytest.raises(ApiFault, match="more than 20,000 bytes"):
        fetch(remote, f"{site}/large")
    many = [f"{site}/picture?{n}" for n in range(3)]
    assert len(fetch(remote, *many)) == 3
    small = RemoteFiles(2, 20.0, remote.find, remote.permitted, remote.ports)
    with pytest.raises(ApiFault, match="more than 2 bytes"):
        fetch(small, *[f"{site}/{n}" for n in range(3)])
    for path, message in (("missing", "status 404"), ("packed", "compressed")):
        with pytest.raises(ApiFault, match=message):
            fetch(remote, f"{site}/{path}")
    with pytest.raises(ApiFault, match="no such host"):
        fetch(remote, f"http://other.test:{port}/")
    with pytest.raises(ApiFault, match="port 80 is none of"):
        fetch(remote, "http://site.test/")


def test_a_slow_site_is_given_up(port: int) -> None:
    remote = files(port, site=["127.0.0.1"])
    quick = RemoteFiles(20_000, 0.3, remote.find, remote.permitted, remote.ports)
    with pytest.raises(ApiFault) as caught:
        fetch(quick, f"http://site.test:{port}/slow")
    assert caught.value.code in ("remote_timeout", "remote_failed")


def test_a_server_fetches_only_when_told_to(port: int) -> None:
    address = f"http://site.test:{port}/picture"
    talk = says(shows(address), "how many?")
    with serving() as served:
        status, _, message = served.refusal({"messages": talk})
        assert status == 400 and "nothing is fetched from the web here" in message
    with serving(remote=files(port, site=["127.0.0.1"]), allow_remote=True) as served:
        reply = served.post("/v1/chat/completions", {"messages": talk, "max_tokens": 6}).json()
        expected = served.alone.chat(says(shows(tiny.picture(1, 60, 30)), "how many?"), max_new_tokens=6)
        assert reply["choices"][0]["message"]["content"] == expected
        frames = {"type": "video_url", "video_url": {"url": [address, address]}}
        assert served.post("/tokenize", {"messages": says(frames, "?")}).json()["tiles"] == [1, 1]
    with serving(allow_remote=True) as served:  # as shipped: this machine is not public
        for inside in (
            f"http://127.0.0.1:{port}/picture",
            "http://localhost/x",
            "http://[::1]/x",
            "http://0/x",
        ):
            status, code, _ = served.refusal({"messages": says(shows(inside), "?")})
            assert (status, code) == (400, "remote_failed")
