"""Commands that have a file of requests answered: by a model here, or by a server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol

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
from tessera.serve.app import build_app
from tessera.serve.batch.answers import AnswerFile
from tessera.serve.batch.remote import RemoteRunner
from tessera.serve.batch.requests import BatchFile
from tessera.serve.batch.runner import BatchCounts, BatchRunner
from tessera.serve.front import Front
from tessera.serve.settings import ServeLimits, ServeSettings


@dataclass(frozen=True)
class Defaults:
    """What answers have where requests don't say."""

    temperature: float = 0.0
    new_tokens: int = 1024


@dataclass(frozen=True, kw_only=True)
class AnsweringCommand(ReportingCommand):
    """Who answers, and how much at a time."""

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
    """Folder of the pictures and clips that are named; that of the file which names them by default."""
    allow_remote: bool = False
    """Fetch pictures and clips from public addresses of the web."""
    at_once: int = 128
    """Requests that are in work at once: read, waiting or being answered."""
    max_batch: int = 64
    """Most answers that are written at once."""
    limits: ServeLimits = ServeLimits()
    """What one request, and all of them, may ask for."""
    engine: EngineLimits = EngineLimits()
    """Memory and steps of the engine."""

    def answered(
        self,
        requests: Path,
        output: Path,
        media: Path,
        defaults: Defaults,
        again: bool = False,
        watch: Watch | None = None,
    ) -> tuple[BatchCounts, Stop]:
        """Have a file answered; what an earlier run answered is kept, its errors unless `again`.

        media: folder of files that are named, if --media-root says nothing. watch: hears of every answer, and
        says something beside the bar.
        """
        self.at_least(at_once=1, max_batch=1)
        if self.endpoint is not None and self.model is not None:
            raise ValueError(
                f"--endpoint {self.endpoint}: has its own model; leave --model out, or give --name"
            )
        settings = self._settings(media, defaults)
        asked = BatchFile(requests, self._asked_of(defaults))
        with AnswerFile(output, asked.lines, again, watch.heard if watch else None) as answers:
            counts = BatchCounts(len(asked.lines), len(answers.done))
            if counts.kept == counts.requests:
                return counts, Stop()
            if self.endpoint is not None:
                return self._ask_server(self.endpoint, asked, answers, settings, watch)
            return self._ask_model(asked, answers, settings, watch)

    def _settings(self, media: Path, defaults: Defaults) -> ServeSettings:
        """All but the model's name. ValueError for what cannot be."""
        room = {"requests": self.at_once, "requests_per_key": self.at_once}
        return ServeSettings(
            name="model",
            media_root=self.media_root or media,
            allow_remote=self.allow_remote,
            temperature=defaults.temperature,
            new_tokens=defaults.new_tokens,
            limits=self.limits.model_copy(update=room),
        )

    def _asked_of(self, defaults: Defaults) -> str:
        """What answers depend on beside their requests."""
        if self.endpoint is not None:
            return repr(("a server", self.name))  # which may have moved when the run goes on
        loading = {name: str(value) for name, value in asdict(self.loading).items() if name != "device"}
        chosen = (defaults.temperature, defaults.new_tokens)
        return repr((called(self.model), self.name, *chosen, sorted(loading.items())))

    def _ask_model(
        self, asked: BatchFile, answers: AnswerFile, settings: ServeSettings, watch: Watch | None
    ) -> tuple[BatchCounts, Stop]:
        model = self._opened
        settings = settings.model_copy(update={"name": self.name or called(self.model) or model.family.name})
        with (
            progress_bars(keep=True) as bars,
            Service(model.engine) as service,
            stop_on_signals(_told) as stop,
        ):
            front = Front(model, service, settings)
            try:
                runner = BatchRunner(build_app(front), self.at_once)
                return asyncio.run(runner.run(asked, answers, Pace(bars, watch), stop)), stop
            finally:
                front.preparer.close()

    @cached_property
    def _opened(self) -> ChatModel:
        """The model, opened once for all files; what its cache holds serves the next file, too."""
        return ChatModel(tessera.load(self.model, **asdict(self.loading)).loaded, self.max_batch, self.engine)

    def _ask_server(
        self,
        address: str,
        asked: BatchFile,
        answers: AnswerFile,
        settings: ServeSettings,
        watch: Watch | None,
    ) -> tuple[BatchCounts, Stop]:
        with (
            closing(Endpoint(address, os.environ.get(KEY), self.http)) as endpoint,
            progress_bars(keep=True) as bars,
            stop_on_signals(_told) as stop,
        ):
            assert settings.media_root is not None
            runner = RemoteRunner(endpoint, self.name or endpoint.first_model(), settings.media_root)
            return runner.run(asked, answers, Pace(bars, watch), stop), stop


class Watch(Protocol):
    """Hears of every answer as it comes."""

    def heard(self, line: Mapping[str, Any], /) -> None:
        """A line of the file of answers."""

    def note(self) -> str:
        """What stands beside the bar."""
        ...


class Pace:
    """Shows how far a batch is, and how fast it goes."""

    def __init__(self, bars: Bars, watch: Watch | None = None) -> None:
        self._bars, self._begun, self._watch = bars, time.monotonic(), watch

    def __call__(self, counts: BatchCounts) -> None:
        """One more answer."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        answers, tokens = (counts.done - counts.kept) / seconds, counts.answer_tokens / seconds
        failed = f", {counts.failed} failed" if counts.failed else ""
        told = f", {self._watch.note()}" if self._watch is not None else ""
        note = f"{answers:.1f} answers/s, {tokens:.0f} tokens/s{failed}{told}"
        self._bars("answers", counts.done, counts.requests, note)


def _told() -> None:  # not by print: a signal may come in the middle of one
    os.write(2, b"\nstopping behind the answers in work; once more ends at once\n")
