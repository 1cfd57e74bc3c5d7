"""What `tessera evaluate` adds to the time of a model, and the memory of runs of any length.

    taskset -c 0 python benchmarks/evaluation.py

Rows with drawn pictures in a VLMEvalKit TSV are read, their pictures stored, prompts written, requests made,
and answers judged, without a model; then the whole command runs with the shipped model, and its peak memory
is taken for few and for many questions. The model's time is that of the engine alone on the same prompts.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.chat.batch.lines import BatchReply
from tessera.chat.openai import read_messages
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.benchmarks.catalogue import find_benchmark
from tessera.evaluation.running.asking import BenchmarkAsking
from tessera.evaluation.running.grading import BenchmarkGrading
from tessera.evaluation.running.plan import BenchmarkPlan
from tessera.evaluation.tasks import heldout_items

BENCHMARK = """name: drawn
kind: open
data: {own: {file: drawn.tsv, index: index, image: image}}
scorer: {name: exact_match}
aggregate: {name: mean, by: [category]}
"""
DISTINCT = 200
CACHE = 64 << 20
"""Bytes of each of the engine's caches, which fill up as a run goes on: what grows beside them would show."""


def write_benchmark(folder: Path, questions: int, size: int) -> Path:
    """A table of drawn questions, and the file that declares it."""
    kept = []
    for item in heldout_items("count", DISTINCT, size=(size, size)):
        stream, source = io.BytesIO(), item.scene.media[0].source
        assert isinstance(source, PIL.Image.Image)
        source.save(stream, "PNG")
        kept.append((base64.b64encode(stream.getvalue()).decode(), item.question))
    with (folder / "drawn.tsv").open("w", encoding="utf-8") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "image", "question", "answer", "category"])
        for number in range(questions):
            picture, question = kept[number % DISTINCT]
            table.writerow([number, picture, question.text, question.final, question.kind])
    (folder / "drawn.yaml").write_text(BENCHMARK)
    return folder / "drawn.yaml"


class Echo:
    """The same answer to everything."""

    def __getitem__(self, name: str, /) -> BatchReply:
        return BatchReply("3", "stop", tokens=1)


def beside_the_model(declared: Path, folder: Path) -> dict[str, float]:
    """Milliseconds a question: rows and pictures, prompts and requests, judging."""
    plan = BenchmarkPlan.of(find_benchmark(declared), "vlmevalkit", folder, folder / "run")
    asking = BenchmarkAsking(plan.rules, folder / "run/pictures")
    count, told = len(plan.items), {}
    began = time.perf_counter()
    items = list(plan.items)
    told["rows and pictures"] = time.perf_counter() - began
    began = time.perf_counter()
    for item in items:
        for request in asking.requests(item):
            json.dumps(request)
    told["prompts and requests"] = time.perf_counter() - began
    began = time.perf_counter()
    for _ in BenchmarkGrading(plan.scorer, asking).rows(items, Echo()):
        pass
    told["judging"] = time.perf_counter() - began
    return {name: 1000 * seconds / count for name, seconds in told.items()}


def of_the_model(declared: Path, folder: Path, count: int) -> float:
    """Milliseconds a question of the engine alone: pixels are prepared before, answers have few tokens."""
    plan = BenchmarkPlan.of(find_benchmark(declared), "vlmevalkit", folder, folder / "run")
    asking, loaded = BenchmarkAsking(plan.rules, folder / "run/pictures"), load_checkpoint(shipped_folder())
    talks = [read_messages(asking.messages(plan.items[place])) for place in range(count)]
    prompts = [loaded.encoder.encode(talk, generate=True) for talk in talks]
    engine = Engine.of(loaded)
    began = time.perf_counter()
    for start in range(0, count, 64):
        engine.generate(prompts[start : start + 64], Sampling(max_new_tokens=16))
    return 1000 * (time.perf_counter() - began) / count


def whole(declared: Path, folder: Path) -> dict[str, Any]:
    """Seconds and peak megabytes of the command."""
    words = [sys.executable, "-m", "tessera.cli.main", "evaluate", "--on", str(declared), "--json"]
    words += ["--engine.cache-bytes", str(CACHE), "--engine.picture-bytes", str(CACHE)]
    began = time.perf_counter()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen([*words, "--to", str(folder / "told")], stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "err").read_text()[-2000:])
    (told,) = json.loads((folder / "out").read_text())
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mb": used.ru_maxrss / 1024, "score": told["figures"]["overall"]}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=600)
    parser.add_argument("--many", type=int, default=3000)
    parser.add_argument("--size", type=int, default=64, help="side of the drawn pictures")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for count in (asked.few, asked.many):
            folder = Path(name) / str(count)
            folder.mkdir()
            declared = write_benchmark(folder, count, asked.size)
            found[f"{count} questions"] = whole(declared, folder)
            print(count, found[f"{count} questions"], file=sys.stderr)
        found["beside the model, ms"] = beside_the_model(declared, folder)
        found["engine alone, ms"] = of_the_model(declared, folder, min(600, asked.many))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
