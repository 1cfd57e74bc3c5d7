"""`tessera serve`: the shipped model in a process of its own; mistakes are told before it is opened."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import openai
import pytest

import tessera
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.main import main
from tests.engine import tiny
from tests.serve.served import WAIT, says, shows


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A running server, its address, and what it printed."""
    (keys := tmp_path_factory.mktemp("keys") / "keys").write_text("a-long-key\n")
    command = [sys.executable, "-m", "tessera.cli.main", "serve", "--port", "0", "--api-key-file", str(keys)]
    command += ["--critic", str(shipped_folder())]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout
        printed = ""
        while "limits: " not in printed:
            assert (line := running.stdout.readline()), printed
            printed += line
        address = next(word for word in printed.split() if word.startswith("http://")).removesuffix("/v1")
        yield running, address, printed
        running.kill()


def test_it_serves_until_it_is_asked_to_end(process: tuple[subprocess.Popen[str], str, str]) -> None:
    running, address, printed = process
    assert "scale_model" in printed and "curl http://127.0.0.1:" in printed and "tiles 128" in printed
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="a-long-key", timeout=WAIT, max_retries=0)
    talk = says(shows(tiny.picture(1, 64, 64)), "how many shapes are there?")
    done = client.chat.completions.create(model=client.models.list().data[0].id, messages=talk)
    assert done.choices[0].message.content == tessera.load().chat(talk)
    best = {"selection": {"method": "best_of", "n": 3}}
    done = client.chat.completions.create(model="scale_model", messages=talk, seed=1, extra_body=best)
    scores = [one["score"] for one in done.model_dump()["selection"]["candidates"]]
    assert all(0 < score < 1 for score in scores) and done.choices[0].message.content
    running.send_signal(signal.SIGTERM)
    assert running.wait(WAIT) == 0
    with pytest.raises(openai.APIConnectionError):
        client.models.list()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--media-root", "/nowhere/at/all"], "media_root = '/nowhere/at/all': no such folder"),
        (["--api-key", "short"], "less than 8 characters"),
        (["--api-key-file", "/nowhere"], "/nowhere"),
        (["--port", "70000"], "--port 70000"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1"),
        (["--critic", "/nowhere/prm"], "/nowhere/prm"),
        (["shipped", "--engine", "vllm", "--critic", "prm"], "--critic is of Tessera's own engine"),
        (["--max-batch", "0"], "--max-batch 0: give at least 1"),
        (["--limits.tiles", "9999"], "total_tiles = 512 is below tiles = 9999"),
        (["--limits.body-seconds", "-1"], "body_seconds"),
        (["--new-tokens", "0"], "new_tokens"),
        (["--adaptor", "x"], "did you mean --adapter"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_mistakes_are_told_before_the_model_is_opened(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the model was opened")

    monkeypatch.setattr(tessera, "load", opened)
    monkeypatch.delenv("TESSERA_API_KEY", raising=False)
    assert main(["serve", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and "short" not in shown.err, "no key is told"


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port]) == 2
    assert f"--port {port}" in capsys.readouterr().err
