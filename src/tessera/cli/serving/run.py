"""`tessera run requests.jsonl -o answers.jsonl`: a file of requests, answered without a server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

import tessera
from tessera.cli.chat import LoadArguments
from tessera.cli.command import ReportingCommand
from tessera.cli.serving.serve import KEY, called
from tessera.engine.chat_model import ChatModel
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.service import Service
from tessera.runtime.http import Endpoint, RequestLimits
from tessera.runtime.interrupt import Stop, stop_on_signals
from tessera.runtime.progress import Bars, progress_bars
from tessera.runtime.shown import shown
from tessera.serve.app import build_app
from tessera.serve.batch.answers import AnswerFile
from tessera.serve.batch.remote import RemoteRunner
from tessera.serve.batch.requests import BatchFile
from tessera.serve.batch.runner import BatchCounts, BatchRunner
from tessera.serve.front import Front
from tessera.serve.settings import ServeLimits, ServeSettings


@dataclass(frozen=True, kw_only=True)
class RunFileCommand(ReportingCommand):
    """Answer a file of requests in OpenAI's batch form. What an earlier run answered is kept."""

    requests: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="REQUESTS")]
    """A file with {"custom_id", "method", "url", "body"} a line."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where answers go, one a line as they come. The same command goes on where it was interrupted."""
    again: bool = False
    """Ask once more what was answered with an error."""
    model: str | None = None
    """Checkpoint folder, or a name such as OpenGVLab/InternVL3-1B; the shipped scale model by default."""
    loading: Annotated[LoadArguments, tyro.conf.arg(name="")] = LoadArguments()
    endpoint: str | None = None
    """Ask a server at this address instead of a model here; TESSERA_API_KEY is sent as its key."""
    http: RequestLimits = RequestLimits()
    """How patiently, and how many at once, a server is asked."""
    name: str | None = None
    """The model's name in requests; its own, or the first that the server lists, by default."""
    media_root: Path | None = None
    """Folder of the pictures and clips that requests name; that of the requests by default."""
    allow_remote: bool = False
    """Fetch pictures and clips from public addresses of the web."""
    temperature: float = 0.0
    """For requests that give none; 0 takes the best token."""
    new_tokens: int = 1024
    """Longest answer of requests that don't say."""
    at_once: int = 128
    """Requests that are in work at once: read, waiting or being answered."""
    max_batch: int = 64
    """Most answers that are written at once."""
    limits: ServeLimits = ServeLimits()
    """What one request, and all of them, may ask for."""
    engine: EngineLimits = EngineLimits()
    """Memory and steps of the engine."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False}

    def run(self) -> int:
        self.at_least(at_once=1, max_batch=1)
        if self.endpoint is not None and self.model is not None:
            raise ValueError(
                f"--endpoint {self.endpoint}: has its own model; leave --model out, or give --name"
            )
        settings = self.settings()
        asked = BatchFile(self.requests, self._asked_of())
        if self.output.exists() and self.output.samefile(self.requests):
            raise ValueError(f"--output {shown(self.output)}: holds the requests; name another file")
        begun = time.monotonic()
        with AnswerFile(self.output, asked.lines, self.again) as answers:
            counts = BatchCounts(len(asked.lines), len(answers.done))
            stop = Stop()
            if counts.kept < counts.requests:
                counts, stop = self._answer(asked, answers, settings)
        seconds = time.monotonic() - begun
        values = asdict(counts) | {"seconds": round(seconds, 3), "output": self.output}
        self.tell(lambda: values, lambda: print(in_words(counts, seconds, self.output)))
        return 130 if stop.asked and counts.done < counts.requests else 1 if counts.failed else 0

    def settings(self) -> ServeSettings:
        """All but the model's name. ValueError for what cannot be."""
        room = {"requests": self.at_once, "requests_per_key": self.at_once}
        return ServeSettings(
            name="model",
            media_root=self.media_root or self.requests.parent,
            allow_remote=self.allow_remote,
            temperature=self.temperature,
            new_tokens=self.new_tokens,
            limits=self.limits.model_copy(update=room),
        )

    def _asked_of(self) -> str:
        """What answers depend on beside their requests."""
        if self.endpoint is not None:
            return repr(("a server", self.name))  # which may have moved when the run goes on
        loading = {name: str(value) for name, value in asdict(self.loading).items() if name != "device"}
        return repr(
            (called(self.model), self.name, self.temperature, self.new_tokens, sorted(loading.items()))
        )

    def _answer(
        self, asked: BatchFile, answers: AnswerFile, settings: ServeSettings
    ) -> tuple[BatchCounts, Stop]:
        if self.endpoint is not None:
            return self._ask_server(self.endpoint, asked, answers)
        model = tessera.load(self.model, **asdict(self.loading))
        settings = settings.model_copy(update={"name": self.name or called(self.model) or model.family.name})
        with (
            progress_bars(keep=True) as bars,
            Service(ChatModel(model.loaded, self.max_batch, self.engine).engine) as service,
            stop_on_signals(_told) as stop,
        ):
            front = Front(model, service, settings)
            try:
                runner = BatchRunner(build_app(front), self.at_once)
                return asyncio.run(runner.run(asked, answers, Pace(bars), stop)), stop
            finally:
                front.preparer.close()

    def _ask_server(self, address: str, asked: BatchFile, answers: AnswerFile) -> tuple[BatchCounts, Stop]:
        with (
            closing(Endpoint(address, os.environ.get(KEY), self.http)) as endpoint,
            progress_bars(keep=True) as bars,
            stop_on_signals(_told) as stop,
        ):
            root = self.media_root or self.requests.parent
            runner = RemoteRunner(endpoint, self.name or endpoint.first_model(), root)
            return runner.run(asked, answers, Pace(bars), stop), stop


class Pace:
    """Shows how far a batch is, and how fast it goes."""

    def __init__(self, bars: Bars) -> None:
        self._bars, self._begun = bars, time.monotonic()

    def __call__(self, counts: BatchCounts) -> None:
        """One more answer."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        answers, tokens = (counts.done - counts.kept) / seconds, counts.answer_tokens / seconds
        failed = f", {counts.failed} failed" if counts.failed else ""
        note = f"{answers:.1f} answers/s, {tokens:.0f} tokens/s{failed}"
        self._bars("answers", counts.done, counts.requests, note)


def in_words(counts: BatchCounts, seconds: float, output: Path) -> str:
    """The end of a run in two lines."""
    kept = f", {counts.kept} kept from before" if counts.kept else ""
    left = counts.requests - counts.done
    rest = f", {left} left: the same command goes on" if left else ""
    tokens = f"{counts.prompt_tokens:,} tokens read, {counts.answer_tokens:,} written in {seconds:.1f} s"
    return f"{shown(output)}: {counts.answered} answered, {counts.failed} failed{kept}{rest}\n{tokens}"


def _told() -> None:  # not by print: a signal may come in the middle of one
    os.write(2, b"\nstopping behind the answers in work; once more ends at once\n")
