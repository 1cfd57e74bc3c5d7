"""Decoding on a CPU: ours, transformers and llama.cpp, the same shape and weight bits, one run.

    PYTHONPATH=src python benchmarks/decode.py [--shape 1b|toy] [--llama FOLDER] [--kinds bf16 int8 int4]

Random bfloat16 weights. FOLDER holds llama.cpp's sources, with llama-bench, llama-batched-bench,
llama-quantize and llama-mtmd-cli built in FOLDER/build/bin; without it that side is left out. Its files are
written here, in its own form and of the same shape (a Qwen2 decoder with a head of its own, InternViT):
nothing of theirs is compared but speed, what ours computes is checked by `inference.py` and the tests.

Kinds of weights: bf16 on all sides; int8 (ours, a scale a row; Q8_0, one in 32); int4 (ours NF4 with a scale
in 64 and the head in 8 bits, 4.25 bits a weight; Q4_0, one in 32 and the head in Q6_K, 4.5). transformers has
bf16 alone. The ViT is bf16 everywhere.

Measured in turns, medians over the repeats: tokens a second at batch 1, 4 and 16 behind prompts of 64 tokens,
all rows together; a prompt of 288 tokens; tiles a second through ViT and connector; the first token of a
prompt with one tile; peak memory of the process, which of llama.cpp is the language model's alone. `share`:
bytes of weights that a token at batch 1 reads, a second, over what a sum over floats reads in this run. On a
machine that others load take `--threads 1 --clock processor`. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from decode_llama import Llama
from inference_checkpoint import prompts, write

SIDES = Path(__file__).with_name("decode_sides.py")
LINEARS = {"bf16": "packed", "int8": "int8", "int4": "int4"}
BATCHES = (1, 4, 16)
Row = dict[str, float]


class Worker:
    """Ours or transformers, in a process of its own."""

    def __init__(self, side: str, threads: int, clock: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, str(SIDES), side, clock], env=environment, **pipes)

    def ask(self, do: str, **request: Any) -> float:
        """The reply to a request."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps({"do": do, **request}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker died with {self._process.wait()}; its message is above")
        return float(json.loads(line))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Bench:
    """The sides of one run, by name and kind of weights."""

    def __init__(self, arguments: argparse.Namespace, root: Path) -> None:
        self.arguments, self.root = arguments, root
        self.family = write(root / "ours", arguments.shape, "official")
        self.prompt = str(prompts(self.family, root, 1)["small"])
        vision = self.family.model.vision
        self.tile = [vision.image_size, vision.image_size, 3]
        self.read: Row = {}
        """Bytes that a token of ours reads, by kind."""
        write(root / "theirs", arguments.shape, "transformers")
        (root / "theirs" / "benchmark.json").write_text(json.dumps({"vocabulary": 0}))
        self.llama = None
        if arguments.llama is not None:
            self.llama = Llama(arguments.llama, root, arguments.threads, arguments.clock)
            self.llama.write(self.family.model)

    def measure(self, kind: str) -> dict[str, Row]:
        """Side -> what was measured with weights of a kind, the sides in turn."""
        seen: dict[str, list[Row]] = {}
        workers = {"ours": self._worker("ours", LINEARS[kind])}
        self.read[kind] = workers["ours"][1]
        if kind == "bf16":
            workers["transformers"] = self._worker("theirs", "")
        for _ in range(self.arguments.repeats):
            for name, (worker, _) in workers.items():
                seen.setdefault(name, []).append(self._with(worker))
            if self.llama is not None:
                seen.setdefault("llama.cpp", []).append(self._by_llama(self.llama, kind))
        for name, (worker, _) in workers.items():
            seen[name].append({"peak MiB": worker.ask("memory")})
            worker.stop()
        if self.llama is not None:
            seen["llama.cpp"].append({"peak MiB": self.llama.memory(kind)})
        return {name: _medians(rows) for name, rows in seen.items()}

    def reading(self) -> float:
        """Bytes a second."""
        worker = Worker("ours", self.arguments.threads, self.arguments.clock)
        found = worker.ask("reading")
        worker.stop()
        return found

    def _worker(self, side: str, linears: str) -> tuple[Worker, float]:
        worker = Worker(side, self.arguments.threads, self.arguments.clock)
        return worker, worker.ask("load", folder=str(self.root / side), linears=linears)

    def _with(self, worker: Worker) -> Row:
        tokens = self.arguments.tokens

        def decode(batch: int) -> float:
            return worker.ask("decode", batch=batch, tokens=tokens)

        others = {"prefill 288, tokens/s": lambda: worker.ask("prefill", tokens=288)}
        others["ViT, tiles/s"] = lambda: worker.ask("see", tile=self.tile)
        others["first token behind a tile, s"] = lambda: worker.ask("first", prompt=self.prompt)
        return _row(decode, others, self.arguments.skip)

    def _by_llama(self, llama: Llama, kind: str) -> Row:
        others = {"prefill 288, tokens/s": lambda: llama.prefill(kind, 288)}
        if kind == "bf16":
            others["ViT, tiles/s"] = lambda: llama.see(kind)
        return _row(lambda n: llama.decode(kind, n, self.arguments.tokens), others, self.arguments.skip)


def _row(decode: Callable[[int], float], others: dict[str, Callable[[], float]], skip: list[str]) -> Row:
    tasks = {f"batch {n}, tokens/s": (lambda n=n: decode(n)) for n in BATCHES} | others
    return {name: task() for name, task in tasks.items() if not any(word in name for word in skip)}


def _medians(rows: list[Row]) -> Row:
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: statistics.median(row[key] for row in rows if key in row) for key in keys}


def show(kind: str, sides: dict[str, Row]) -> None:
    """One table; ratios say how many times better ours is."""
    others = [name for name in sides if name != "ours"]
    print(f"\n| {kind} | ours |", " | ".join(f"{name} | ratio" for name in others), "|")
    print("| --- " * (2 + 2 * len(others)) + "|")
    for key, own in sides["ours"].items():
        cells = []
        for name in others:
            value = sides[name].get(key)
            better = None if value is None else own / value if key.endswith("/s") else value / own
            cells += ["–", "–"] if value is None or better is None else [f"{value:.4g}", f"{better:.2f}"]
        print(f"| {key} | {own:.4g} |", " | ".join(cells), "|", flush=True)


def main(words: list[str] | None = None) -> None:
    """Write, measure, show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=("1b", "toy"), default="1b")
    parser.add_argument("--llama", type=Path, help="llama.cpp's sources, built")
    parser.add_argument("--kinds", nargs="+", choices=tuple(LINEARS), default=list(LINEARS))
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="see above")
    parser.add_argument("--skip", nargs="*", default=[], help="rows whose names hold one of these words")
    arguments = parser.parse_args(words)
    if arguments.tokens < 8:
        parser.error(f"--tokens {arguments.tokens}: give at least 8")
    if arguments.llama is None:
        print("llama.cpp is not measured: give its built sources with --llama")
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(arguments, Path(root))
        reading = bench.reading()
        rows = {}
        for kind in arguments.kinds:
            rows[kind] = bench.measure(kind)
            speed = rows[kind]["ours"].get("batch 1, tokens/s", 0.0)
            rows[kind]["ours"]["share of the memory's speed"] = speed * bench.read[kind] / reading
            show(kind, rows[kind])
    about = {
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
        "reading GB/s": reading / 1e9,
        "load before": load_before,
    }
    shown = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()
    }
    print(json.dumps({"arguments": shown, "about": about, "rows": rows}))


if __name__ == "__main__":
    main()
