"""`tessera serve --engine`: commands, templates, and what engines feed.

Small servers answer like each engine's documented endpoints. No real engine is started here."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.openai import read_messages
from tessera.chat.templates import TEMPLATES, Template
from tessera.checkpoints.load import read_description
from tessera.checkpoints.save import save_checkpoint
from tessera.cli.main import main
from tessera.peers.engines import ENGINES, jinja_template, lmdeploy_template
from tessera.peers.probing import Probed, probe, talks
from tessera.peers.server import Server
from tests.engine import tiny
from tests.peers.doubles import Answer, Routes, served

TURNS = [("user", "Hello\n"), ("assistant", "Hi."), ("user", 'What is "it"? \\n 你好')]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates go into a cache of the test's own."""
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "nano", tiny.model(), tiny.family(), tiny.tokenizer(), "official")


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The command that is printed."""
    assert main(["serve", *words, "--print-only"]) == 0
    return shlex.split(capsys.readouterr().out)


def test_the_commands(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = [str(source), "--port", "9000", "--gpus", "2", "--context", "4096", "--name", "me"]
    vllm = printed([*shared, "--engine", "vllm", "--engine-args=--lora-modules", "--engine-args=a=b"], capsys)
    assert vllm[:5] == ["vllm", "serve", str(source), "--served-model-name", "me"]
    assert {"--trust-remote-code", "--tensor-parallel-size", "--max-model-len", "4096"} <= set(vllm)
    assert vllm[-2:] == ["--lora-modules", "a=b"] and vllm[vllm.index("--port") + 1] == "9000"
    template = Path(vllm[vllm.index("--chat-template") + 1])
    assert "add_generation_prompt" in template.read_text()
    lmdeploy = printed([*shared, "--engine", "lmdeploy"], capsys)
    assert lmdeploy[:4] == ["lmdeploy", "serve", "api_server", str(source)]
    assert lmdeploy[lmdeploy.index("--session-len") + 1] == "4096" and "--server-port" in lmdeploy
    told = json.loads(Path(lmdeploy[lmdeploy.index("--chat-template") + 1]).read_text())
    assert told["capability"] == "chat" and told["model_name"].startswith("tessera-")
    sglang = printed([*shared, "--engine", "sglang"], capsys)
    assert sglang[1:5] == ["-m", "sglang.launch_server", "--model-path", str(source)]
    assert sglang[sglang.index("--tp") + 1] == "2" and "--context-length" in sglang


def test_a_layout_that_the_engine_does_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = save_checkpoint(tmp_path / "own", tiny.model(), tiny.family(), tiny.tokenizer())
    target = tmp_path / "out"
    words = [str(own), "--engine", "vllm", "--print-only"]
    assert main(["serve", *words]) == 2
    assert "has the layout tessera: give --export FOLDER, where it is written as transformers" in (
        capsys.readouterr().err
    )
    command = printed([*words[:-1], "--export", str(target)], capsys)
    assert command[2] == str(target) and not target.exists(), "nothing is written to print a command"
    assert "--chat-template" not in command and "--trust-remote-code" not in command
    assert main(["serve", *words[:-1], "--export", str(target)]) == 1, "vLLM is not here"
    told = capsys.readouterr()
    assert "vllm is not installed here: pip install vllm" in told.err
    assert read_description(target).layout == "transformers"


def test_an_adapter_keeps_a_layout_that_the_engine_reads(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    words = [str(source), "--engine", "vllm", "--adapter", str(adapter)]
    assert main(["serve", *words]) == 2
    assert "gets an adapter: give --export FOLDER, where it is written as official" in capsys.readouterr().err
    command = printed([*words, "--export", str(tmp_path / "out")], capsys)
    assert command[2] == str(tmp_path / "out") and "--trust-remote-code" in command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine", "vllm"], "--engine: name the model"),
        (["x", "--engine", "vllm", "--media-root", "."], "--media-root is of Tessera's own engine"),
        (["x", "--engine", "vllm", "--api-key", "k" * 9], "--api-key is of Tessera's own engine"),
        (["x", "--engine", "vllm", "--limits.tiles", "3"], "--limits is of Tessera's own engine"),
        (["x", "--engine", "vllm", "--int8"], "how a model is loaded"),
        (["x", "--engine", "vllm", "--gpus", "0"], "--gpus 0: give a port and at least 1 GPU"),
        (["x", "--gpus", "2"], "go with --engine"),
        (["x", "--engine", "tgi"], "tgi"),
        (["/nowhere", "--engine", "sglang"], "/nowhere"),
    ],
    ids=lambda value: None,
)
def test_mistakes(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(TEMPLATES))
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_templates_write_what_we_write(name: str, system: str | None) -> None:
    """Rendered by Jinja, and by LMDeploy's rule for its JSON files, text for text."""
    template = replace(TEMPLATES[name], stop="<|im_end|>")  # a token that the nano tokenizer has
    encoder = replace(tiny.encoder(), template=template, system_text=None)
    asked = [*([("system", system)] if system else []), *TURNS]
    messages = [{"role": role, "content": text} for role, text in asked]
    expected = encoder.render_text(read_messages(messages), generate=True)
    made = jinja_template(template, template.system_text, "official")
    assert made is not None and made[0] == "jinja"
    rendered = jinja2.Environment().from_string(made[1]).render(messages=messages, add_generation_prompt=True)
    assert rendered == expected
    if not template.answer_lead:  # LMDeploy's file has no place for it
        assert by_lmdeploy(template, messages) == expected
    assert jinja_template(template, "", "transformers") is None


def by_lmdeploy(template: Template, messages: list[dict[str, str]]) -> str:
    """`BaseChatTemplate.messages2prompt` of LMDeploy: a system text in front, then turn by turn."""
    told = json.loads(lmdeploy_template(template, template.system_text, "official")[1])
    begin = {"system": "system", "user": "user", "assistant": "assistant"}
    end = {"system": "eosys", "user": "eoh", "assistant": "eoa"}
    text = ""
    if messages[0]["role"] != "system":
        text = told["system"] + told["meta_instruction"] + told["eosys"]
    for message in messages:
        role = message["role"]
        text += told[begin[role]] + message["content"] + told[end[role]]
        text += told["separator"] if role == "assistant" else ""
    return text + str(told["assistant"])


def routes(engine: str, ids_of: Callable[[list[dict[str, Any]]], list[int]]) -> Routes:
    """What the engine answers: vLLM tells ids of talks, LMDeploy those of a text, SGLang numbers alone."""

    def count(body: dict[str, Any]) -> Answer:
        return 200, {"choices": [{}], "usage": {"prompt_tokens": len(ids_of(body["messages"]))}}

    def tokenize(body: dict[str, Any]) -> Answer:
        if engine == "sglang" and "prompt" not in body:
            return 400, {"message": "prompt: field required"}
        ids = ids_of(body["messages"])
        return 200, {"tokens": ids, "count": len(ids), "max_model_len": 4096}

    def encode(body: dict[str, Any]) -> Answer:
        assert body["do_preprocess"] is True
        ids = ids_of([{"role": "user", "content": body["input"]}])
        return 200, {"input_ids": ids, "length": len(ids)}

    own: Routes = {"vllm": {"/tokenize": tokenize}, "lmdeploy": {"/v1/encode": encode}}.get(
        engine, {"/tokenize": tokenize}
    )
    return {"/v1/chat/completions": count, "/v1/models": lambda _: (200, {"data": [{"id": "m"}]})} | own


def ours(encoder: Encoder, messages: list[dict[str, Any]]) -> list[int]:
    """Our ids of what came over the wire."""
    return [int(one) for one in encoder.encode(read_messages(messages), generate=True).ids]


@pytest.mark.parametrize("name", ["vllm", "lmdeploy", "sglang"])
def test_what_is_fed(name: str, tmp_path: Path) -> None:
    """An engine that feeds ours, one with another system text, and one that cuts no tiles."""
    encoder, engine = tiny.encoder(), ENGINES[name]  # type: ignore[index]

    def asked(ids_of: Callable[[list[dict[str, Any]]], list[int]]) -> dict[str, Probed]:
        with served(routes(name, ids_of)) as address:
            return {one.what: one for one in probe(engine, Server(address), encoder, tmp_path)}

    same = asked(lambda messages: ours(encoder, messages))
    assert len(same) == len(list(talks(tmp_path))) and all(one.same for one in same.values())
    compared = {what: one.found.compared for what, one in same.items() if one.found}
    assert compared["text"] == ("count" if name == "sglang" else "ids")
    assert compared["wide picture"] == ("ids" if name == "vllm" else "count")

    silent = asked(lambda messages: ours(replace(encoder, system_text="Other."), messages))
    assert not silent["text"].same and not silent["wide picture"].same and silent["system text"].same
    if name == "vllm":
        assert silent["text"].found and silent["text"].found.differences[0].theirs != ""

    def blind(messages: list[dict[str, Any]]) -> list[int]:
        return ours(replace(encoder, tiling=encoder.tiling.model_copy(update={"max_tiles": 1})), messages)

    one_tile = asked(blind)
    assert one_tile["text"].same and not one_tile["wide picture"].same


ENGINE = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
port, asked = int(sys.argv[sys.argv.index("--port") + 1]), []
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(200, {})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/chat/completions":
            return self.reply(404, {})
        asked.append(self.headers.get("Authorization"))
        self.reply(200, {"choices": [{}], "usage": {"prompt_tokens": 7}})
    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", port), Handler)
while len(asked) < TALKS:
    server.handle_request()
assert set(asked) == {"Bearer a-secret-key"}, asked
sys.exit(CODE)
"""


def program(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named vllm, first on the path."""
    (folder / "bin").mkdir()
    script = folder / "bin" / "vllm"
    script.write_text(f"#!{sys.executable}\n{code}")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))


def test_an_engine_from_start_to_end(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is waited for, asked with the key, told about, and its own exit code is ours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    count = len(list(talks(tmp_path)))
    program(tmp_path, ENGINE.replace("TALKS", str(count)).replace("CODE", "5"), monkeypatch)
    monkeypatch.setenv("TESSERA_API_KEY", "a-secret-key")
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["serve", str(source), "--engine", "vllm", "--port", str(port)]) == 5
    told = capsys.readouterr()
    assert f"0 of {count} prompts are the same, as far as the engine shows them" in told.out
    assert "wide picture" in told.out and f"http://127.0.0.1:{port}/v1 (model 'nano')" in told.out
    assert "a-secret-key" not in told.out + told.err


def test_an_engine_that_ends_before_it_answers(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path, "raise SystemExit(3)", monkeypatch)
    assert main(["serve", str(source), "--engine", "vllm", "--port", "9"]) == 2
    assert "the engine ended with 3 before it answered" in capsys.readouterr().err
