"""Opening and answering on a CPU: ours against transformers, the same random weights, one run.

    python benchmarks/inference.py [--shape 1b|toy|8b] [--tiles 12] [--tokens 33] [--repeats 3] [--int8]

Writes a checkpoint of the InternVL3 shape with random bfloat16 weights twice into a temporary folder, for us
in the official layout and for transformers in its own, and removes both. Each side answers in its own process
with the same threads, in turn; medians over the repeats. Measured: the load call until the model is ready
(files in the page cache, imports apart), that and the first token of a one-tile prompt, and that and its
whole answer, because what a load call leaves for later is paid there; then, warm, the time to the first
token of a picture of `tiles` tiles and a thumbnail, and the part of it that ViT and connector take;
tokens a second behind both prompts; peak memory of the whole process.

Before anything is timed both sides run the one-tile prompt in float32: the scores must agree to 1e-3 of
their spread and the greedy answers must be equal. In bfloat16 our distance from the float32 scores must be at
most 1.5 times theirs. Otherwise the run stops. `--int8` adds our 8-bit weights. transformers has no InternVL
processor that works without torchvision: our encoder makes ids and pixels for both, outside the timing. On a
machine that others load, `--threads 1 --clock processor` counts seconds of the processor alone. Shape 8b is
opened by us alone, with --int8: load, a one-tile answer, memory. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from inference_checkpoint import prompts, write

SIDES = Path(__file__).with_name("inference_sides.py")
Row = dict[str, float]


class Worker:
    """A side in a process of its own."""

    def __init__(self, side: str, linears: str, folder: Path, threads: int, clock: str) -> None:
        self.linears, self.folder = linears, folder
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, str(SIDES), side, clock],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> float:
        """Seconds that the imports took."""
        return float(self._reply()["import"])

    def load(self, dtype: str) -> float:
        """Seconds of the load call."""
        return float(
            self.ask(do="load", folder=str(self.folder), dtype=dtype, linears=self.linears)["seconds"]
        )

    def answer(self, prompt: Path, tokens: int) -> dict[str, Any]:
        """Seconds to the first token (`first`), of it the ViT's (`see`), of each further (`rest`); ids."""
        return self.ask(do="answer", prompt=str(prompt), tokens=tokens)

    def ask(self, **request: Any) -> dict[str, Any]:
        """The reply to a request."""
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker died with {self._process.wait()}; its message is above")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Bench:
    """Folders, prompts and workers of one run."""

    def __init__(self, arguments: argparse.Namespace, root: Path, peers: bool) -> None:
        self.arguments, self.root = arguments, root
        ours, theirs = root / "ours", root / "theirs"
        family = write(ours, arguments.shape, "official")
        self.folders = {"ours": ours, "ours, int8": ours, "theirs": theirs}
        if peers:
            write(theirs, arguments.shape, "transformers")
            vocabulary = family.model.decoder.vocab_size if arguments.shape == "toy" else None
            self._note_vocabulary(theirs, vocabulary)
        self.prompts = prompts(family, root, arguments.tiles)

    def _note_vocabulary(self, folder: Path, size: int | None) -> None:
        from tessera.chat.tokenizer import load_tokenizer

        known = size or load_tokenizer(folder).vocab_size
        (folder / "benchmark.json").write_text(json.dumps({"vocabulary": known}))

    def worker(self, name: str) -> Worker:
        """A new process; its imports run while others start."""
        linears = "int8" if "int8" in name else "packed"
        side = "theirs" if name == "theirs" else "ours"
        return Worker(side, linears, self.folders[name], self.arguments.threads, self.arguments.clock)

    def check(self) -> Row:
        """Compare scores and greedy answers; stops the run when they are not the same model."""
        workers = {name: self.worker(name) for name in ("ours", "theirs")}
        for worker in workers.values():
            worker.ready()
        precise = {name: self._scores(worker, "float32") for name, worker in workers.items()}
        answers = {name: worker.answer(self.prompts["small"], 8)["ids"] for name, worker in workers.items()}
        rough = {name: self._scores(worker, "bfloat16") for name, worker in workers.items()}
        for worker in workers.values():
            worker.stop()
        spread = float(precise["theirs"].std())
        difference = float((precise["ours"] - precise["theirs"]).abs().max()) / spread
        if difference > 1e-3 or answers["ours"] != answers["theirs"]:
            raise SystemExit(f"float32: scores differ by {difference:.1e}, answers {answers}")
        off = {name: float((scores - precise["theirs"]).norm()) for name, scores in rough.items()}
        share = {name: norm / float(precise["theirs"].norm()) for name, norm in off.items()}
        if share["ours"] > 1.5 * share["theirs"]:
            raise SystemExit(f"bfloat16: distances from the float32 scores are {share}")
        return {"float32": difference, **{f"bfloat16 {name}": value for name, value in share.items()}}

    def _scores(self, worker: Worker, dtype: str) -> torch.Tensor:
        file = self.root / "scores.pt"
        worker.load(dtype)
        worker.ask(do="logits", prompt=str(self.prompts["small"]), file=str(file))
        scores: torch.Tensor = torch.load(file)
        return scores

    def measure(self, names: list[str]) -> dict[str, Row]:
        """Medians of everything, the sides in turn."""
        seen: dict[str, list[Row]] = {name: [] for name in names}
        workers: dict[str, Worker] = {}
        for _ in range(self.arguments.repeats):
            for name in names:
                if name in workers:
                    workers[name].stop()
                workers[name] = self.worker(name)
                seen[name].append(self._open(workers[name]))
        for _ in range(self.arguments.repeats):
            for name in names:
                seen[name].append(self._answers(workers[name]))
        for name in names:
            seen[name].append({"peak MiB": workers[name].ask(do="memory")["peak"]})
            workers[name].stop()
        return {name: _medians(rows) for name, rows in seen.items()}

    def _open(self, worker: Worker) -> Row:
        imports, load = worker.ready(), worker.load("bfloat16")
        opened = worker.ask(do="memory")["peak"]
        answer = worker.answer(self.prompts["small"], self.arguments.tokens)
        until_first = load + answer["first"]
        return {
            "import": imports,
            "load": load,
            "load and first token": until_first,
            "load and first answer": until_first + (self.arguments.tokens - 1) * answer["rest"],
            "loaded MiB": opened,
        }

    def _answers(self, worker: Worker) -> Row:
        tokens = self.arguments.tokens
        small = worker.answer(self.prompts["small"], tokens)
        row = {"one tile: first token": small["first"], "one tile: tokens/s": 1 / small["rest"]}
        if self.arguments.tiles > 1:
            large = worker.answer(self.prompts["large"], tokens)
            row |= {"first token": large["first"], "of it ViT": large["see"], "tokens/s": 1 / large["rest"]}
        return row


def _medians(rows: list[Row]) -> Row:
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: statistics.median(row[key] for row in rows if key in row) for key in keys}


def better(key: str, ours: float, theirs: float) -> float:
    """How many times better ours is: speeds by their ratio, seconds and MiB by the inverse."""
    return ours / theirs if key.endswith("tokens/s") else theirs / ours


def show(rows: dict[str, Row]) -> None:
    """The table."""
    names = list(rows)
    ratios = [name for name in names if name != "theirs" and "theirs" in rows]
    print("| |", " | ".join([*names, *(f"{name} over theirs" for name in ratios)]), "|")
    print("| --- " * (1 + len(names) + len(ratios)) + "|")
    for key in rows[names[0]]:
        values = [
            f"{rows[name][key]:.3g}" if rows[name][key] < 1000 else f"{rows[name][key]:.0f}" for name in names
        ]
        values += [f"{better(key, rows[name][key], rows['theirs'][key]):.2f}" for name in ratios]
        print(f"| {key} |", " | ".join(values), "|")


def main(words: list[str] | None = None) -> None:
    """Write, check, measure, show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=("1b", "toy", "8b"), default="1b")
    parser.add_argument("--tiles", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=33)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="see above")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument(
        "--skip-check", action="store_true", help="while working on speed; no result without it"
    )
    arguments = parser.parse_args(words)
    if arguments.shape == "8b" and not arguments.int8:
        parser.error(
            "shape 8b needs --int8: transformers and bfloat16 take more memory than a small machine has"
        )
    peers = arguments.shape != "8b"
    names = (["ours", "theirs"] if peers else []) + (["ours, int8"] if arguments.int8 else [])
    if not peers:
        arguments.tiles = 1
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(arguments, Path(root), peers)
        differences = bench.check() if peers and not arguments.skip_check else {}
        rows = bench.measure(names)
    show(rows)
    about = {
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
        "threads": arguments.threads,
        "machine": platform.machine(),
        "load before": load_before,
    }
    print(
        json.dumps({"arguments": vars(arguments), "about": about, "differences": differences, "rows": rows})
    )


if __name__ == "__main__":
    main()
