"""A process reward model of the scale model, trained and measured: best-of-N against greedy and majority.

    python benchmarks/best_of_n.py runs/alignment --seed 0              # behind benchmarks/alignment.py
    python benchmarks/best_of_n.py runs/alignment --seed 0 --labels checked
    python benchmarks/best_of_n.py runs/alignment --table

`sampled`: the steps of 600 responses are marked by `tessera prm build`, with 4 continuations each. `checked`:
those of all responses are marked by the known solutions, which costs nothing; a step is + while all before it
are right, too. A judge is trained on them (`scale_model/judge`), and rates 8 candidates to each of 600
held-out questions. The judge is told one short sentence: the published text has 535 tokens here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import and_
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from alignment import call

from tessera.align.critics.process import ProcessCritic
from tessera.align.preferences.response import read_response
from tessera.align.process.continuing import MarkedStep
from tessera.align.process.records import step_talk
from tessera.chat.message import Conversation
from tessera.checkpoints.load import load_checkpoint
from tessera.engine.engine import Engine
from tessera.evaluation.candidates import CandidateAsking, evaluate_candidates
from tessera.records.writing import json_line, write_meta
from tessera.scoring.reasoned.steps import judge_steps, split_steps
from tessera.scoring.selection.rule import SelectionRule

AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {"mean": mean, "min": min}
SYSTEM = "is it right?"
TRIED, CONTINUATIONS, CANDIDATES, ASKED = 600, 4, 8, 600


def run(seed: int, folder: Path, labels: str) -> None:
    """Data, judge and curve of a seed; what is there already is not made again."""
    home = folder / str(seed)
    data = home / f"steps_{labels}"
    if not (data / "meta.json").is_file():
        (mark if labels == "sampled" else check)(home, data)
    judge, policy = home / f"judge_{labels}/0_judge", home / "policy/0_reasoning"
    if not judge.is_dir():
        given = (
            "--start.checkpoint",
            policy,
            "--stages.0.sources.0.meta",
            data / "meta.json",
            "--seed",
            seed,
        )
        call("train", "scale_model/judge", "--out", judge.parent, *given)
    for row in curve(policy, judge):
        with (folder / "best_of_n.jsonl").open("a") as stream:
            stream.write(json.dumps({"seed": seed, "labels": labels, **row}) + "\n")


def mark(home: Path, data: Path) -> None:
    """Steps marked by continuations: of one response to every second question."""
    lines = (home / "responses.jsonl").read_text().splitlines()
    chosen = home / "solutions.jsonl"
    chosen.write_text("".join(f"{line}\n" for line in lines[:: len(lines) // TRIED]))
    asked = ("--model", home / "policy/0_reasoning", "--prompt", "plain", "--continuations", CONTINUATIONS)
    call("prm", "build", chosen, "-o", data, *asked, "--new-tokens", 96, "--page", 0)
    talks = data / "solutions_prm.jsonl"
    records = [json.loads(line) for line in talks.read_text().splitlines()]
    talks.write_bytes(b"".join(map(shortened, records)))


def check(home: Path, data: Path) -> None:
    """Steps marked by the known solutions: of all responses."""
    data.mkdir(parents=True, exist_ok=True)
    file = home / "responses.jsonl"
    with (data / "checked_prm.jsonl").open("wb") as stream:
        for number, line in enumerate(file.read_text().splitlines()):
            response = read_response(json.loads(line), file, number + 1)
            steps = split_steps(response.text)
            right = list(accumulate(judge_steps(response.record["solution"], response.text), and_))
            marks = [MarkedStep(step, float(good), good, 1) for step, good in zip(steps, right, strict=True)]
            if marks:
                stream.write(shortened(step_talk(number, response, marks, 0.0)))
    entry = {
        "root": str(home.resolve()),
        "annotation": "checked_prm.jsonl",
        "repeat_time": 1,
        "length": number + 1,
    }
    write_meta(data / "meta.json", {"checked": entry | {"data_augment": False}})


def shortened(record: dict[str, Any]) -> bytes:
    """A talk whose judge is told one short sentence."""
    first, *turns = record["conversations"]
    assert first["from"] == "system", first
    return json_line(record | {"conversations": [first | {"value": SYSTEM}, *turns]})


def curve(policy: Path, judge: Path) -> Iterator[dict[str, Any]]:
    """Percentages of right choices by number of candidates, for each rule, and what they cost."""
    loaded, critic = load_checkpoint(policy, dtype=torch.float32), ProcessCritic.open(judge, system=SYSTEM)
    steps: list[list[tuple[float, ...] | None]] = []

    def scores(talk: Conversation, responses: Sequence[str]) -> list[float | None]:
        told = [each for each in responses if each.strip()]
        rated = dict(zip(told, critic.score(talk, told), strict=True))
        steps.append([rated[each].steps if each in rated else None for each in responses])
        return [rated[each].score if each in rated else None for each in responses]

    asking = CandidateAsking(CANDIDATES, scores=scores)
    found = evaluate_candidates(Engine.of(loaded), loaded.encoder, asking, ["reason"], ASKED)
    rules = {"majority": SelectionRule("majority"), "best of": SelectionRule("best_of")}
    rules |= {"weighed": SelectionRule("majority", "critic")}
    for name, overall in AGGREGATES.items():
        questions = []
        for question, own in zip(found.questions, steps, strict=True):
            scored = [
                replace(candidate, score=None if each is None else overall(each))
                for candidate, each in zip(question.candidates, own, strict=True)
            ]
            questions.append(replace(question, candidates=tuple(scored)))
        for point in replace(found, questions=questions).curve(rules):
            shares = {rule: round(100 * value, 2) for rule, value in point.shares.items()}
            costs = {key: round(getattr(point, key), 3) for key in ("tokens", "seconds", "critic_seconds")}
            yield {"aggregate": name, "k": point.k, **shares, **costs}


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds."""
    lines = [
        "| labels | score | N | seeds | majority | weighed by score | best of N | any right | tokens |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for key in dict.fromkeys((row["labels"], row["aggregate"], row["k"]) for row in rows):
        own = [row for row in rows if (row["labels"], row["aggregate"], row["k"]) == key]
        cells = [
            spread([row[name] for row in own])
            for name in ("majority", "weighed", "best of", "any right", "tokens")
        ]
        lines.append(f"| {' | '.join(map(str, key))} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Mean, and standard deviation where there are several."""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Run a seed, or show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--labels", choices=("sampled", "checked"), default="sampled")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.seed is not None:
        run(asked.seed, asked.folder, asked.labels)
    if asked.table:
        file = asked.folder / "best_of_n.jsonl"
        print(table([json.loads(line) for line in file.read_text().splitlines()]))


if __name__ == "__main__":
    main()
