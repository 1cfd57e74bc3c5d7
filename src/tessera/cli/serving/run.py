"""`tessera run requests.jsonl -o answers.jsonl`: a file of requests, answered without a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.cli.serving.answering import AnsweringCommand, Defaults
from tessera.runtime.shown import shown
from tessera.serve.batch.runner import BatchCounts


@dataclass(frozen=True, kw_only=True)
class RunFileCommand(AnsweringCommand):
    """Answer a file of requests in OpenAI's batch form. What an earlier run answered is kept."""

    requests: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="REQUESTS")]
    """A file with {"custom_id", "method", "url", "body"} a line."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where answers go, one a line as they come. The same command goes on where it was interrupted."""
    again: bool = False
    """Ask once more what was answered with an error."""
    temperature: float = 0.0
    """For requests that give none; 0 takes the best token."""
    new_tokens: int = 1024
    """Longest answer of requests that don't say."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False}

    def run(self) -> int:
        if self.output.exists() and self.requests.exists() and self.output.samefile(self.requests):
            raise ValueError(f"--output {shown(self.output)}: holds the requests; name another file")
        begun = time.monotonic()
        defaults = Defaults(self.temperature, self.new_tokens)
        counts, stop = self.answered(self.requests, self.output, self.requests.parent, defaults, self.again)
        seconds = time.monotonic() - begun
        values = asdict(counts) | {"seconds": round(seconds, 3), "output": self.output}
        self.tell(lambda: values, lambda: print(in_words(counts, seconds, self.output)))
        return 130 if stop.asked and counts.done < counts.requests else 1 if counts.failed else 0


def in_words(counts: BatchCounts, seconds: float, output: Path) -> str:
    """The end of a run in two lines."""
    kept = f", {counts.kept} kept from before" if counts.kept else ""
    left = counts.requests - counts.done
    rest = f", {left} left: the same command goes on" if left else ""
    tokens = f"{counts.prompt_tokens:,} tokens read, {counts.answer_tokens:,} written in {seconds:.1f} s"
    return f"{shown(output)}: {counts.answered} answered, {counts.failed} failed{kept}{rest}\n{tokens}"
