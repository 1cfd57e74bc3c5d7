"""Opening a model in 8 and 4 bits: stored so by `tessera quantize`, and made while loading.

    python benchmarks/few_bits.py [--shape 1b] [--tokens 24] [--checkpoint FOLDER]

The checkpoint has random bfloat16 weights in the official layout, with the toy's tokenizer; FOLDER keeps it
for another run. Each way opens in a process of its own with one thread and answers twice, the second time
with `--tokens` tokens. Told are processor seconds, which others on the machine change little, and the largest
memory of the process. Then one row goes through matrices of 2048 x 4096. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import tessera
from tessera.checkpoints.quantised.writing import quantise_checkpoint
from tessera.nn.codes import Codes
from tessera.nn.linear import make_linear

WAYS: dict[str, tuple[str, dict[str, bool]]] = {
    "bfloat16": ("plain", {}),
    "8 bits, while loading": ("plain", {"load_in_8bit": True}),
    "8 bits, stored": ("int8", {}),
    "4 bits, while loading": ("plain", {"load_in_4bit": True}),
    "4 bits, stored": ("int4", {}),
}
"""Name -> the folder, and the options it is opened with."""
OUTS, INNER, COPIES = 2048, 4096, 8


def open_and_answer(folder: Path, options: dict[str, bool], tokens: int) -> dict[str, float]:
    """Processor seconds to open and to the first answer, tokens a second, and the peak of memory in MiB."""
    began = time.process_time()
    model = tessera.load(folder, **options)  # type: ignore[arg-type]
    opened = time.process_time() - began
    model.chat("a", max_new_tokens=1)
    first = time.process_time() - began
    began = time.process_time()
    model.chat("b", max_new_tokens=tokens, ignore_eos=True)
    spent = time.process_time() - began
    # What getrusage tells of a child begins with its parent's.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    peak = int(found[1]) / 1024 if found else float("nan")
    return {"open_s": opened, "first_s": first, "tokens_per_s": tokens / spent, "peak_mib": peak}


def in_a_process(folder: Path, way: str, tokens: int) -> dict[str, Any]:
    """The same in a process of its own."""
    words = [sys.executable, __file__, "--checkpoint", str(folder), "--way", way, "--tokens", str(tokens)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@torch.inference_mode()
def one_row() -> dict[str, float]:
    """Milliseconds of one row through a matrix, by kind; the best of 14 rounds."""

    def made(kind: str) -> torch.nn.Module:
        if kind != "awq":
            return make_linear(kind, torch.randn(OUTS, INNER).bfloat16(), None)  # type: ignore[arg-type]
        codes, zero = torch.randint(0, 256, (OUTS, INNER // 2)), torch.randint(0, 16, (OUTS, INNER // 128))
        return Codes(codes.byte(), torch.rand(OUTS, INNER // 128).bfloat16(), zero.byte()).linear(None)

    layers = {kind: [made(kind) for _ in range(COPIES)] for kind in ("packed", "int8", "int4", "awq")}
    x, best = torch.randn(1, INNER).bfloat16(), dict.fromkeys(layers, float("inf"))
    for _ in range(15):
        for kind, several in layers.items():
            began = time.perf_counter()
            for layer in several:
                layer(x)
            best[kind] = min(best[kind], 1000 * (time.perf_counter() - began) / COPIES)
    return best


def main() -> None:
    """Write, quantise, open in every way; the last line is the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.way:
        print(json.dumps(open_and_answer(args.checkpoint, WAYS[args.way][1], args.tokens)))
        return
    with tempfile.TemporaryDirectory() as made:
        print(json.dumps(measure(args.checkpoint or Path(made), args.shape, args.tokens)))


def measure(root: Path, shape: str, tokens: int) -> dict[str, Any]:
    """Every figure; folders of an earlier run are taken."""
    from inference_checkpoint import write

    if not (root / "plain").is_dir():
        write(root / "plain", shape, "official")
    written: dict[str, Any] = {}
    for kind in ("int8", "int4"):
        if not (root / kind).is_dir():
            done = quantise_checkpoint(root / "plain", root / kind, kind)  # type: ignore[arg-type]
            written[kind] = {"seconds": done.seconds, "bytes": done.bytes_after, "of": done.bytes_before}
    ways = {way: in_a_process(root / folder, way, tokens) for way, (folder, _) in WAYS.items()}
    for way, found in ways.items():
        print(f"{way:24} {', '.join(f'{name} {value:.4g}' for name, value in found.items())}")
    return {
        "shape": shape,
        "torch": torch.__version__,
        "ways": ways,
        "written": written,
        "one_row_ms": one_row(),
    }


if __name__ == "__main__":
    main()
