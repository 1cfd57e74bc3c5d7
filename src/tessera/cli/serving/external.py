"""`tessera serve MODEL --engine …`: another engine, started with the right words and asked what it feeds."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from tessera.chat.encoder import Encoder
from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.conversion.convert import convert
from tessera.checkpoints.description import Description, LayoutName
from tessera.checkpoints.load import read_description
from tessera.cli.terminal.tables import Terminal, figures_table
from tessera.peers.compare import Comparison
from tessera.peers.engines import ENGINES, EngineName, EngineStart, ServingEngine, shown_command
from tessera.peers.probing import Probed, probe
from tessera.peers.server import Server
from tessera.peers.starting import running, wait_for_health
from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import cache_root
from tessera.runtime.interrupt import stop_on_signals
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class ExternalArguments:
    """Another engine in the place of Tessera's own (--engine)."""

    gpus: int = 1
    """With --engine: GPUs that share the model (tensor parallelism)."""
    context: int | None = None
    """With --engine: most tokens of a request; the model's own length by default."""
    export: Path | None = None
    """With --engine: where the checkpoint is written first, when the engine doesn't read its layout."""
    engine_args: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="WORD")] = ()
    """With --engine: a word more of its command line, as --engine-args=--enable-lora; again for others."""
    print_only: bool = False
    """With --engine: print the command, and start nothing."""
    wait_seconds: float = 900.0
    """With --engine: seconds until it must answer; large models take minutes to load."""


@dataclass(frozen=True)
class ExternalServer:
    """A model behind another engine."""

    engine: EngineName
    model: str
    host: str
    port: int
    name: str | None
    adapter: Path | None
    asked: ExternalArguments
    key: str | None

    def run(self) -> int:
        """Start it, say where it feeds other tokens, and stay until it ends."""
        engine = ENGINES[self.engine]
        start, described = self.prepared(engine)
        command = engine.command(start)
        print(shown_command(command), flush=True)
        if self.asked.print_only:
            return 0
        if not installed(command):
            print(f"{self.engine} is not installed here: {engine.install}", file=sys.stderr)
            return 1
        if command[0] == "python":
            command[0] = sys.executable
        here = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        address = f"http://{here}:{self.port}"
        with running(command) as process, stop_on_signals(process.terminate) as stop:
            wait_for_health(process, address + engine.health, self.asked.wait_seconds)
            with tempfile.TemporaryDirectory() as folder:
                server = Server(address, start.name, self.key)
                found = list(probe(engine, server, encoder_of(described), Path(folder)))
            show(found)
            print(f"\n{address}/v1 (model {start.name!r})", flush=True)
            code = process.wait()
        return 0 if stop.asked else code

    def prepared(self, engine: ServingEngine) -> tuple[EngineStart, Description]:
        """What is started, and the model as Tessera reads it. Writes checkpoint and template where needed."""
        folder, adapter = find_with_adapter(self.model, self.adapter)
        described = read_description(folder)
        name = self.name or (folder.name if Path(self.model).is_dir() else self.model)
        if described.layout not in engine.layouts or adapter is not None:
            layout = described.layout if described.layout in engine.layouts else engine.layouts[0]
            folder = self.exported(folder, adapter, described.layout, layout)
            described = replace(described, layout=layout)
        encoder = encoder_of(described)
        system = encoder.template.system_text if encoder.system_text is None else encoder.system_text
        written = engine.template(encoder.template, system, described.layout)
        start = EngineStart(
            str(folder), described.layout, name, self.host, self.port, self.asked.gpus, self.asked.context
        )
        template = None if written is None else str(kept(*written))
        return replace(start, template=template, more=self.asked.engine_args), described

    def exported(self, folder: Path, adapter: Path | None, layout: LayoutName, wanted: LayoutName) -> Path:
        """The checkpoint in the wanted layout, the adapter merged. Only the name with print_only."""
        why = "gets an adapter" if layout == wanted else f"has the layout {layout}"
        if (target := self.asked.export) is None:
            raise ValueError(f"{shown(folder)} {why}: give --export FOLDER, where it is written as {wanted}")
        if not self.asked.print_only:
            with progress_bars() as bars:
                convert(folder, target, wanted, adapter=adapter, progress=bars)
        return target


def encoder_of(described: Description) -> Encoder:
    """What Tessera's own engine would write prompts with."""
    return described.family.encoder(described.tokenizer)


def installed(command: Sequence[str]) -> bool:
    """Whether a command's program, or its module of this Python, is here."""
    if command[0] == "python":
        return importlib.util.find_spec(command[2].partition(".")[0]) is not None
    return shutil.which(command[0]) is not None


def kept(ending: str, content: str) -> Path:
    """A file with this content in the cache, named by it, so that it is never another one's."""
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    folder = cache_root() / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest}.{ending}"
    with atomic_write(path) as stream:
        stream.write(content.encode())
    return path


def show(found: Sequence[Probed]) -> None:
    """A table: the talk, tokens here and there, and where they part first."""
    table = figures_table("prompt", "ours", "theirs")
    table.add_column("first difference")
    for one in found:
        if one.found is None:
            table.add_row(one.what, "", "", f"refused: {shown(one.fault, bare=True)}")
        else:
            table.add_row(
                one.what, str(one.found.ours.tokens), str(one.found.theirs.tokens), parting(one.found)
            )
    Terminal().print(table)
    same = sum(one.same for one in found)
    print(f"{same} of {len(found)} prompts are the same, as far as the engine shows them")


def parting(found: Comparison) -> str:
    """Where two prompts part first."""
    if found.differences:
        first = found.differences[0]
        return f"token {first.ours_at}: {shown(first.ours)} here, {shown(first.theirs)} there"
    if found.same:
        return "none" if found.compared == "ids" else "none seen: it tells the number alone"
    return "it tells the number alone"
