"""Precision and recall of the filter's rules on the planted corpus, and records per second on one core.

    python -m tests.curation.filters.precision [--seed 1]

The last line is one JSON object. A hit (borderline or drop) on a clean record is false; a hit on a record
with another planted fault counts neither way, as a loop also repeats n-grams.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.outcome import read_flagged
from tessera.curation.filters.run import VERDICT_FILE, Run
from tessera.curation.filters.sources import open_filtered
from tessera.records.manifest import read_meta
from tests.curation.filters.planted import Planted, write_corpus


@dataclass
class RuleCounts:
    """One rule on the corpus."""

    planted: int = 0
    found: int = 0
    caught: int = 0
    """planted records that this or any other rule found"""
    dropped: int = 0
    false: int = 0
    """hits on clean records"""

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false) if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else 1.0


def tally(verdicts: Path, planted: Planted) -> tuple[dict[str, RuleCounts], Counter[str]]:
    """Tallies of all rules, and clean records by the verdict they got."""
    tallies: dict[str, RuleCounts] = {}
    clean: Counter[str] = Counter()
    for name, count in Counter(planted.values()).items():
        tallies[name] = RuleCounts(planted=count)
    for flagged in read_flagged(verdicts):
        fault = planted.get((flagged.source, flagged.record))
        if fault is None:
            clean[flagged.verdict] += 1
        else:
            tallies[fault].caught += 1
            tallies[fault].dropped += flagged.verdict == "drop"
        for rule in {row["rule"] for row in flagged.rows}:
            if fault == rule:
                tallies[rule].found += 1
            elif fault is None:
                tallies.setdefault(rule, RuleCounts()).false += 1
    return tallies, clean


def run_rules(folder: Path, seed: int) -> tuple[dict[str, RuleCounts], Counter[str], int, float]:
    """Tallies, clean records flagged, records, and seconds in one process."""
    manifest, planted = write_corpus(folder / "corpus", seed)
    config = FilterConfig()
    run = Run(open_filtered(read_meta(manifest), config), config, folder / "out")
    start = time.perf_counter()
    run.execute(None, lambda *_: None)
    seconds = time.perf_counter() - start
    tallies, clean = tally(run.out / VERDICT_FILE, planted)
    return tallies, clean, run.size, seconds


def main() -> None:
    """Print the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tallies, clean, records, seconds = run_rules(Path(folder), given.seed)
        files = Path(folder).glob("corpus/**/*.jsonl")
        characters = sum(len(file.read_text(encoding="utf-8")) for file in files)
    print("| rule | planted | found | precision | recall | found by any rule | dropped outright |")
    print("|---|---|---|---|---|---|---|")
    for name, one in sorted(tallies.items()):
        shown = f"{one.found} | {one.precision:.3f} | {one.recall:.3f} | {one.caught} | {one.dropped}"
        print(f"| {name} | {one.planted} | {shown} |")
    planted = sum(one.planted for one in tallies.values())
    result = {
        "records": records,
        "clean": records - planted,
        "clean_borderline": clean["borderline"],
        "clean_dropped": clean["drop"],
        "records_per_second": round(records / seconds),
        "characters_per_second": round(characters / seconds),
        "rules": {
            name: [round(one.precision, 3), round(one.recall, 3)] for name, one in sorted(tallies.items())
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
