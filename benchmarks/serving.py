"""The server under load: against the engine without a server, and against `transformers serve`, in one run.

    PYTHONPATH=src python benchmarks/serving.py [--shape scale|1b] [--theirs PYTHON] [--server-cores 0 ...]

64 clients; requests arrive as a Poisson process. Half of them show a picture, a third of these one that was
shown before; `--texts` leaves pictures out. Answers stream, are greedy, and have drawn lengths and no end of
their own, on all sides. Sides take turns, each in a process of its own; medians over the rounds.

`full`: requests arrive faster than anybody answers, so that all clients wait all the time: tokens a second.
`calm`: `--rate` requests a second, which nobody has to queue for if the side keeps up: times of people.
`offline`: the same requests to the engine in a process without a server, from messages to answers (`batch`),
and from prompts that are encoded already (`engine`). PYTHON has transformers with its serving extra and
torchvision; without it that side is left out. The shipped model (`scale`), or random weights of the 1B shape.
First token: from sending to the first words. A token: from the first words to the last, by the tokens
between. `same words`: answers of the server that are the engine's offline (in bfloat16 other batches round
differently: docs/engine.md). The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from inference_checkpoint import write
from serving_load import Heard, play
from serving_sides import Running, for_ours, for_theirs, offline, our_server, their_server
from serving_workload import Body, arrivals, bodies

from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import write_checkpoint
from tessera.checkpoints.shipped import shipped_folder

CLIENTS = 64
SIZES = {"scale": [(96, 96), (192, 128)], "1b": [(448, 448)]}
LENGTHS = {"scale": [8, 16, 32, 64], "1b": [8, 16]}
FLOOD = 1e6
"""Requests a second that nobody answers."""
Row = dict[str, float]


class Bench:
    """What is asked, and of whom."""

    def __init__(self, arguments: argparse.Namespace, root: Path) -> None:
        self.arguments = arguments
        self.ours, self.theirs = checkpoints(arguments.shape, root, arguments.theirs is not None)
        shape = arguments.shape, arguments.texts
        self.bodies = self._bodies(arguments.requests, shape, 1)
        self.warm = self._bodies(4, shape, 2)
        self.loads = {"calm": arguments.rate, "full": FLOOD} if arguments.rate else {"full": FLOOD}

    @staticmethod
    def _bodies(count: int, shape: tuple[str, bool], seed: int) -> list[Body]:
        return bodies(count, SIZES[shape[0]], LENGTHS[shape[0]], shape[1], seed)

    def round(self) -> dict[str, Row]:
        """Every side once; a server begins anew for every load, so that nothing is in its caches."""
        arguments = self.arguments
        given = arguments.server_cores, arguments.threads
        alone = offline(self.ours, self.bodies, *given)
        tokens = alone["tokens"]
        rows = {"offline": {"tokens/s": tokens / alone["whole"], "processor s": alone["processor"]}}
        rows["engine"] = {"tokens/s": tokens / alone["engine"]}
        for load, rate in self.loads.items():
            with our_server(self.ours, *given) as server:
                heard, rows[f"ours, {load}"] = self._play(server, rate, for_ours)
            same = map(str.__eq__, alone["answers"], (each.words for each in heard))
            rows[f"ours, {load}"]["same words"] = sum(same) / len(heard)
        for load, rate in self.loads.items() if arguments.theirs is not None else ():
            with their_server(arguments.theirs, self.theirs, *given) as server:
                _, rows[f"transformers, {load}"] = self._play(server, rate, partial(for_theirs, self.theirs))
        return rows

    def _play(self, server: Running, rate: float, form: Callable[[Body], Body]) -> tuple[list[Heard], Row]:
        play(server.address, list(map(form, self.warm)), [0.0] * len(self.warm), CLIENTS)
        before, count = server.processor, len(self.bodies)
        heard = play(server.address, list(map(form, self.bodies)), arrivals(count, rate, 1), CLIENTS)
        return heard, row(heard) | {"processor s": server.processor - before}


def checkpoints(shape: str, root: Path, both: bool) -> tuple[Path, Path]:
    """Folders with the same weights for ours and, where wanted, for transformers."""
    if shape == "1b":
        write(root / "ours", shape, "official")
        return root / "ours", root / "theirs"
    if both:
        plain = load_checkpoint(shipped_folder(), linears="plain")
        weights = plain.model.state_dict().items()
        write_checkpoint(root / "theirs", weights, plain.family, plain.tokenizer, "transformers")
    return shipped_folder(), root / "theirs"


def row(heard: Sequence[Heard]) -> Row:
    """Figures of one load. SystemExit where a request failed."""
    if faults := [each.fault for each in heard if each.fault or not each.pieces]:
        raise SystemExit(f"{len(faults)} of {len(heard)} requests failed, the first with: {faults[0]}")
    seconds = max(each.pieces[-1] for each in heard) - min(each.sent for each in heard)
    gaps = [gap for each in heard for gap in each.gaps]
    found = {"tokens/s": sum(each.tokens for each in heard) / seconds}
    for name, values in (
        ("first token", [each.first for each in heard]),
        ("a token", [each.each for each in heard if each.tokens > 1]),
        ("between pieces", gaps),
    ):
        found |= {f"{name} p50, s": statistics.median(values), f"{name} p99, s": percentile(values, 0.99)}
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many are not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def medians(rounds: list[dict[str, Row]]) -> dict[str, Row]:
    """Side -> figure -> its median."""
    return {
        side: {name: statistics.median(each[side][name] for each in rounds) for name in rounds[0][side]}
        for side in rounds[0]
    }


def show(rows: dict[str, Row]) -> None:
    """One table."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    print("| |", " | ".join(rows), "|")
    print("| --- " * (1 + len(rows)) + "|")
    for name in names:
        cells = [f"{row[name]:.4g}" if name in row else "–" for row in rows.values()]
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def ratios(rounds: list[dict[str, Row]]) -> dict[str, float]:
    """Of tokens a second under full load: medians of the ratios within a round. The first one is of
    processor seconds for the same tokens, which other work on the machine disturbs least."""
    spent = [one["offline"]["processor s"] / one["ours, full"]["processor s"] for one in rounds]
    found = {"ours / offline, by processor seconds": statistics.median(spent)}
    for other in ("offline", "engine", "transformers, full"):
        if other in rounds[0]:
            each = [one["ours, full"]["tokens/s"] / one[other]["tokens/s"] for one in rounds]
            found[f"ours / {other}"] = statistics.median(each)
    return found


def main(words: list[str] | None = None) -> dict[str, Any]:
    """Measure, show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=tuple(SIZES), default="scale")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rate", type=float, default=10.0, help="of the calm load; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", action="store_true", help="no pictures")
    parser.add_argument("--theirs", metavar="PYTHON", help="a Python with transformers' serving extra")
    parser.add_argument("--threads", type=int, default=1, help="of the model's products, on all sides")
    parser.add_argument("--server-cores", type=int, nargs="*", help="cores of the side that is measured")
    parser.add_argument("--client-cores", type=int, nargs="*", help="cores of the clients")
    arguments = parser.parse_args(words)
    if arguments.theirs is not None and arguments.shape == "1b":
        parser.error("--theirs: random weights say tokens that no tokenizer has; give it with --shape scale")
    if arguments.client_cores:
        os.sched_setaffinity(0, arguments.client_cores)
    about = {"torch": torch.__version__, "load before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(arguments, Path(root))
        rounds = [bench.round() for _ in range(arguments.rounds)]
    rows, found = medians(rounds), ratios(rounds)
    show(rows)
    result = {"arguments": vars(arguments), "about": about, "ratios": found, "rows": rows}
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    main()
