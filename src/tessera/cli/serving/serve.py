"""`tessera serve [MODEL]`: an OpenAI-compatible server around one model."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from socket import socket
from typing import Annotated

import tyro

import tessera
from tessera.cli.chat import LoadArguments
from tessera.cli.command import Command
from tessera.cli.serving.external import ExternalArguments, ExternalServer
from tessera.cli.serving.selecting import CriticArguments
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.service import Service
from tessera.engine.embedding.embedder import Embedder
from tessera.peers.engines import EngineName
from tessera.runtime.device import bound_product_caches
from tessera.serve.app import build_app
from tessera.serve.embedding.app import build_embedding_app
from tessera.serve.embedding.work import EmbeddingFront
from tessera.serve.front import Front
from tessera.serve.http.keys import read_keys
from tessera.serve.http.server import DrainingServer, bind
from tessera.serve.settings import ServeLimits, ServeSettings

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
KEY = "TESSERA_API_KEY"


@dataclass(frozen=True, kw_only=True)
class ServeCommand(Command):
    """Serve a model to OpenAI's clients: chat with pictures and clips, completions, tokens, metrics."""

    model: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[MODEL]")] = None
    """Checkpoint folder, or a name such as OpenGVLab/InternVL3-1B; the shipped scale model by default."""
    loading: Annotated[LoadArguments, tyro.conf.arg(name="")] = LoadArguments()
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """Port to listen on; 0 takes any free one."""
    name: str | None = None
    """The model's name in requests; its own by default."""
    api_key: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="KEY")] = ()
    """A key that clients have to send; again for more. TESSERA_API_KEY does the same, seen by nobody."""
    api_key_file: Path | None = None
    """A file of keys, one a line."""
    media_root: Path | None = None
    """Folder whose pictures and clips requests may name; without it they can't name files."""
    allow_remote: bool = False
    """Fetch pictures and clips from public addresses of the web."""
    allow_origin: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="ORIGIN")] = ()
    """A web origin whose pages may ask, such as https://example.org; again for more."""
    allow_host: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME")] = ()
    """A name under which the server is reached. Needed where it listens on 127.0.0.1 behind a proxy."""
    temperature: float = 0.0
    """For requests that give none; 0 takes the best token."""
    new_tokens: int = 1024
    """Longest answer of requests that don't say."""
    critic: Annotated[CriticArguments, tyro.conf.arg(name="")] = CriticArguments()
    max_batch: int = 64
    """Most answers that are written at once; more wait."""
    engine_name: Annotated[EngineName | None, tyro.conf.arg(name="engine")] = None
    """Start this engine in the place of Tessera's own (docs/cluster.md)."""
    external: Annotated[ExternalArguments, tyro.conf.arg(name="")] = ExternalArguments()
    limits: ServeLimits = ServeLimits()
    """What one request, and all of them, may ask for."""
    engine: EngineLimits = EngineLimits()
    """Memory and steps of the engine."""

    def run(self) -> int:
        if self.engine_name is not None:
            return self.elsewhere(self.engine_name).run()
        if self.external != ExternalArguments():
            raise ValueError("--gpus, --context, --export and the like go with --engine; leave them out")
        self.at_least(max_batch=1)
        settings = self.settings()
        self.critic.check()
        listening = bind(self.host, self.port)  # before the model is opened, which may take long
        try:
            bound_product_caches()
            model = tessera.load(self.model, **asdict(self.loading))
            settings = settings.model_copy(
                update={"name": self.name or called(self.model) or model.family.name}
            )
            if isinstance(model, Embedder):
                return self.embeddings(model, settings, listening)
            with Service(ChatModel(model.loaded, self.max_batch, self.engine).engine) as service:
                front = Front(model, service, settings, critic=self.critic.open(self.loading.device))
                server = DrainingServer(build_app(front), front.gate, settings.limits, service.close)
                self._tell(model, settings, listening.getsockname()[1])
                server.run([listening])
                front.preparer.close()
        finally:
            listening.close()
        print("ended", file=sys.stderr)
        return 0

    def embeddings(self, model: Embedder, settings: ServeSettings, listening: socket) -> int:
        """Serve a pair. ValueError for options that only go with answers."""
        if self.critic != CriticArguments():
            raise ValueError("--critic: rates answers, and a pair gives none; leave it out")
        front = EmbeddingFront(model, settings)
        server = DrainingServer(build_embedding_app(front), front.gate, settings.limits, front.close)
        address = self._address(listening.getsockname()[1])
        key = ' -H "Authorization: Bearer $KEY"' if settings.keys else ""
        print(f"{model!r}\n\n{address}/v1 (model {settings.name!r})\n")
        print(f"curl {address}/v1/embeddings{key} -H 'Content-Type: application/json' \\")
        print(""" -d '{"input": "a red ball"}'""", flush=True)
        self._warn(settings)
        server.run([listening])
        front.close()
        print("ended", file=sys.stderr)
        return 0

    def elsewhere(self, engine: EngineName) -> ExternalServer:
        """Another engine. ValueError for options that only Tessera's own has: they would be lost."""
        if self.model is None:
            raise ValueError("--engine: name the model, a checkpoint folder or a released one")
        loading = LoadArguments(adapter=self.loading.adapter)
        taken = {"model", "host", "port", "name", "engine_name", "external", "loading"}
        for field in fields(self):
            if field.name not in taken and getattr(self, field.name) != field.default:
                option = f"--{field.name.replace('_', '-')}"
                raise ValueError(
                    f"{option} is of Tessera's own engine; say it behind --engine-args, in theirs"
                )
        if self.loading != loading:
            raise ValueError("how a model is loaded is told to that engine itself, by --engine-args")
        if not 1 <= self.port <= 65535 or self.external.gpus < 1:
            raise ValueError(
                f"--port {self.port}, --gpus {self.external.gpus}: give a port and at least 1 GPU"
            )
        key, where = os.environ.get(KEY), (self.host, self.port, self.name)
        return ExternalServer(engine, self.model, *where, self.loading.adapter, self.external, key)

    def settings(self) -> ServeSettings:
        """All but the model's name. ValueError for what cannot be."""
        keys = (*self.api_key, *filter(None, [os.environ.get(KEY)]))
        if self.api_key_file is not None:
            keys += read_keys(self.api_key_file)
        hosts = self.allow_host
        if is_loopback(self.host):
            hosts = (*LOOPBACK, *hosts)
        return ServeSettings(
            name="model",
            keys=keys,
            media_root=self.media_root,
            allow_remote=self.allow_remote,
            origins=self.allow_origin,
            hosts=hosts,
            temperature=self.temperature,
            new_tokens=self.new_tokens,
            limits=self.limits,
        )

    def _tell(self, model: ChatModel, settings: ServeSettings, port: int) -> None:
        """What is served, where, an example, and what limits it."""
        address = self._address(port)
        key = ' -H "Authorization: Bearer $KEY"' if settings.keys else ""
        print(f"{model.summary}\n\n{address}/v1 (model {settings.name!r})\n")
        print(f"curl {address}/v1/chat/completions{key} -H 'Content-Type: application/json' \\")
        print(""" -d '{"messages": [{"role": "user", "content": "Hello"}]}'\n""")
        limits = settings.limits.model_dump(exclude_none=True)
        print("limits: " + ", ".join(f"{name} {value:,}" for name, value in limits.items()), flush=True)
        self._warn(settings)

    def _address(self, port: int) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"

    def _warn(self, settings: ServeSettings) -> None:
        if not settings.keys and not is_loopback(self.host):
            note = "no API key: everybody who reaches this address may ask (--api-key-file)"
            print(f"note: {note}", file=sys.stderr)


def called(model: str | None) -> str | None:
    """The name of a model as it was given: a folder by its own, a released model as it is called."""
    if model is None:
        return None
    return Path(model).resolve().name if Path(model).is_dir() else model


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
