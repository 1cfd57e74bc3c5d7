"""How long `tessera data check` takes for a large JSONL, and that its memory doesn't grow with the records.

    PYTHONPATH=src python benchmarks/checking.py --records 1000000

Writes a JSONL of conversations (three in ten with one of 2,000 small JPEGs), with planted faults and
duplicates, into a temporary folder and runs the command on it, once for a tenth and once for all of the
records, each with an empty cache, then once more with the lengths known (unless --once). Every 0.2 s the
private (anonymous) memory of all its processes is added up from /proc; mapped files are not counted: the
system takes those pages back when it needs them. The counts of faults and exact duplicates must be the
planted ones. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image

PICTURES = 2000
FAULTS = 100
"""One record in so many is faulty."""
DUPLICATES = 50
"""One record in so many repeats the one before."""
WORDS = (
    "the",
    "a",
    "of",
    "red",
    "blue",
    "dog",
    "cat",
    "street",
    "sign",
    "house",
    "tree",
    "car",
    "two",
    "why",
)


def write_pictures(folder: Path) -> None:
    """Small JPEGs of noise, so that decoding is real work, but not all of it."""
    for number in range(PICTURES):
        PIL.Image.effect_noise((160 + number % 7 * 16, 120), 60).convert("RGB").save(folder / f"{number}.jpg")


def records(count: int) -> Iterator[str]:
    """Lines: conversations of one to three turns, some with a picture; faults and repeats at fixed places."""
    rng = random.Random(0)
    before = ""
    for number in range(count):
        if number % DUPLICATES == 1:
            yield before
            continue
        if number % FAULTS == 50:
            yield '{"conversations": [{"from": "human", "value": "cut off'
            continue
        turns: list[dict[str, str]] = []
        for _ in range(rng.randint(1, 3)):
            turns.append({"from": "human", "value": " ".join(rng.choices(WORDS, k=rng.randint(5, 20))) + "?"})
            turns.append(
                {"from": "gpt", "value": " ".join(rng.choices(WORDS, k=rng.randint(5, 120))) + f" {number}."}
            )
        record: dict[str, Any] = {"conversations": turns}
        if rng.random() < 0.3:
            record["image"] = f"{rng.randrange(PICTURES)}.jpg"
        before = json.dumps(record)
        yield before


def planted(count: int) -> tuple[int, int]:
    """How many faulty and how many repeated records there are."""
    repeats = len(range(1, count, DUPLICATES))
    return len(range(50, count, FAULTS)), repeats


def anonymous_bytes(root: int) -> int:
    """Private anonymous memory of a process and all below it."""
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue  # it has ended
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon"))
    return total * 1024


def check(manifest: Path, cache: Path, arguments: list[str]) -> dict[str, Any]:
    """Run the command: seconds, peak memory of all processes, and what it found."""
    command = [sys.executable, "-m", "tessera.cli.main", "data", "check", str(manifest), "--json", *arguments]
    environment = {**os.environ, "TESSERA_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    start, peak = time.perf_counter(), 0
    with (cache.parent / "out.json").open("w") as out:
        process = subprocess.Popen(command, stdout=out, env=environment)
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.2)
    seconds = time.perf_counter() - start
    found = json.loads((cache.parent / "out.json").read_text())
    return {"seconds": round(seconds, 1), "peak_mib": round(peak / 2**20), "found": found}


def measure(folder: Path, count: int, arguments: list[str], once: bool) -> dict[str, Any]:
    """Figures of one size: first run, and the run with the lengths in the cache."""
    file = folder / f"{count}.jsonl"
    with file.open("w") as lines:
        lines.writelines(line + "\n" for line in records(count))
    manifest = folder / f"{count}.json"
    manifest.write_text(json.dumps({"made": {"annotation": file.name, "root": "pictures"}}))
    cache = folder / f"cache{count}"
    first = check(manifest, cache, arguments)
    again = {} if once else check(manifest, cache, arguments)
    source = first["found"]["sources"]["made"]
    found = (source["faulty"], source["duplicates"]["exact"])
    assert found == planted(count), f"found {found}, planted {planted(count)}"
    return {
        "records": count,
        "file_mib": round(file.stat().st_size / 2**20),
        "seconds": first["seconds"],
        "records_per_second": round(count / first["seconds"]),
        "peak_mib": first["peak_mib"],
        "seconds_with_lengths_known": again.get("seconds"),
        "peak_mib_with_lengths_known": again.get("peak_mib"),
        "near_duplicates": source["duplicates"]["near"],
        "packs": source["epoch"]["packs"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--family", default="scale_model")
    parser.add_argument("--once", action="store_true", help="leave out the runs with known lengths")
    given = parser.parse_args()
    arguments = ["--workers", str(given.workers), "--family", given.family, "--tolerate", "0.5"]
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        write_pictures(folder / "pictures")
        for count in (given.records // 10, given.records):
            results.append(measure(folder, count, arguments, given.once))
            print(json.dumps(results[-1]), flush=True)
    growth = results[1]["peak_mib"] - results[0]["peak_mib"]
    print(json.dumps({"workers": given.workers, "runs": results, "growth_mib": growth}))


if __name__ == "__main__":
    main()
