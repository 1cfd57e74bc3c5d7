"""Sampling, scoring, pairs and preference training of the scale model, whole, seed by seed.

    python benchmarks/alignment.py runs/alignment --seed 0      # again for 1 and 2; goes on where it ended
    python benchmarks/alignment.py runs/alignment --table       # the rows of all seeds as a table

A seed trains a policy of its own (`scale_model/reasoning`), asks it `--questions` drawn questions
`--responses` times each with `tessera prefer sample`, scores and pairs with `prefer score` and `prefer pair`,
and trains the policy on these pairs by each method for equally many steps on equal packs
(`scale_model/aligned`). All are asked the same 600 questions, greedily, which were drawn for nothing else.
A row of `rows.jsonl` is one model.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from random import Random
from statistics import mean, stdev
from typing import Any

import PIL.Image
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.cli.main import main as tessera
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.runner import Answered, grade_answer
from tessera.evaluation.tasks import HeldoutItem, heldout_items, most_tokens
from tessera.playground.scene import draw_scene
from tessera.records.writing import write_meta
from tessera.runtime.seeds import derive_seed
from tessera.scoring.reasoned.steps import judge_steps

QUESTIONS, RESPONSES = 1200, 4
LOOKED_AT, ASKED = 600, 600
"""Held-out questions that settings were chosen on, and those behind them that are measured."""
SPOKEN = {"generation": 1.0, "preference": 0.0, "quality": 0.0, "reference": "none"}
COMPARED = {"generation": 0.0, "preference": 1.0, "quality": 0.0}
RATED = COMPARED | {"preference": 0.0, "quality": 1.0}
METHODS: dict[str, dict[str, Any]] = {
    "sft": SPOKEN,
    "sft_clean": SPOKEN,
    "mpo_20": {"generation": 20.0},
    "mpo_20_clean": {"generation": 20.0},
    "mpo": {},
    "mpo_clean": {},
    "mpo_slow": {},
    "dpo": COMPARED,
    "dpo_slow": COMPARED,
    "bco": RATED,
    "bco_slow": RATED,
}
"""Fields of the objective that differ from MPO's: sft learns the chosen answers alone, mpo_20 weighs them 20
times as much as published, and clean ones take only pairs whose chosen answer has no wrong step."""
RATES = {"mpo_slow": 2e-5, "dpo_slow": 1e-5, "bco_slow": 1e-5}
"""Learning rates other than the recipe's 2e-4."""
POLICY = "policy"


def run(seed: int, folder: Path, methods: list[str], steps: int, asked: tuple[int, int]) -> None:
    """All of one seed; what is there already is not made again. asked: questions, and answers of each."""
    home = folder / str(seed)
    policy, pairs = home / "policy/0_reasoning", home / "pairs/meta.json"
    if not policy.is_dir():
        call("train", "scale_model/reasoning", "--out", policy.parent, "--seed", seed)
    if not pairs.is_file():
        write_questions(home, seed, asked[0])
        sampling = ("--prompt", "plain", "--responses", asked[1], "--new-tokens", 96, "--seed", seed)
        call(
            "prefer",
            "sample",
            home / "questions.jsonl",
            "-o",
            home / "responses.jsonl",
            "--model",
            policy,
            *sampling,
        )
        call("prefer", "score", home / "responses.jsonl", "-o", home / "scored.jsonl")
        call("prefer", "pair", home / "scored.jsonl", "-o", pairs.parent, "--root", home, "--page", 0)
    items = heldout_items("reason", LOOKED_AT + ASKED)[LOOKED_AT:]
    done = {(row["model"], row["steps"]) for row in rows(folder) if row["seed"] == seed}
    if (POLICY, 0) not in done:
        note(folder, {"seed": seed, "model": POLICY, "steps": 0, **measure(policy, items)})
    for name in methods:
        if (name, steps) not in done:
            began = time.perf_counter()
            model = align(home, policy, pairs, name, seed, steps)
            took = {"training_seconds": round(time.perf_counter() - began)}
            note(folder, {"seed": seed, "model": name, "steps": steps, **took, **measure(model, items)})


def call(*words: object) -> None:
    """A command of Tessera. SystemExit when it fails."""
    if code := tessera([str(word) for word in words]):
        raise SystemExit(f"tessera {' '.join(map(str, words))}: exit code {code}")


def write_questions(folder: Path, seed: int, count: int) -> None:
    """Questions about new drawings, one a picture, with the answer and the solution."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    with (folder / "questions.jsonl").open("w") as stream:
        for index in range(count):
            number = derive_seed("alignment", seed, index)
            scene = draw_scene("reasoning", number)
            question, picture = Random(number).choice(scene.questions), f"pictures/{index}.png"
            source = scene.media[0].source
            assert isinstance(source, PIL.Image.Image)
            source.save(folder / picture)
            record = {"question": question.text, "answer": question.final, "solution": question.answer}
            stream.write(json.dumps({"image": picture, **record}) + "\n")


def align(home: Path, policy: Path, pairs: Path, name: str, seed: int, steps: int) -> Path:
    """The policy trained by a method; its folder."""
    out = home / f"{name}_{steps}"
    if name.endswith("clean"):
        pairs = cleaned(home, pairs)
    fields = [word for key, value in METHODS[name].items() for word in (f"--stages.0.objective.{key}", value)]
    given = ["--start.checkpoint", policy, "--stages.0.sources.0.meta", pairs, "--stages.0.steps", steps]
    if name in RATES:
        given += ["--stages.0.rules.0.learning_rate", RATES[name]]
    call("train", "scale_model/aligned", "--out", out, *given, "--seed", seed, *fields)
    return out / "0_aligned"


def cleaned(home: Path, meta: Path) -> Path:
    """The pairs whose chosen answer is right in every step; their meta file."""
    responses = [json.loads(line) for line in (home / "scored.jsonl").read_text().splitlines()]
    entries = json.loads(meta.read_text())
    folder = home / "clean"
    folder.mkdir(exist_ok=True)
    for entry in entries.values():
        lines = (meta.parent / entry["annotation"]).read_text().splitlines()
        chosen = [responses[json.loads(line)["lines"]["chosen"] - 1] for line in lines]
        kept = [
            line
            for line, each in zip(lines, chosen, strict=True)
            if all(judge_steps(each["solution"], each["response"]))
        ]
        (folder / entry["annotation"]).write_text("".join(f"{line}\n" for line in kept))
        entry["length"] = len(kept)
    write_meta(folder / "meta.json", entries)
    return folder / "meta.json"


def measure(model: Path, items: tuple[HeldoutItem, ...]) -> dict[str, Any]:
    """Percentages of greedy answers: right, with a wrong step, right by a wrong step; and tokens of one."""
    loaded = load_checkpoint(model, dtype=torch.float32)
    prompts = [loaded.encoder.encode(item.prompt("picture"), generate=True) for item in items]
    told = Engine.of(loaded).generate(prompts, Sampling(max_new_tokens=most_tokens(["reason"])))
    graded = [grade_answer(item, each.sound().text) for item, each in zip(items, told, strict=True)]
    return {
        "right": share(graded, lambda each: each.right),
        "wrong_step": share(graded, lambda each: not each.steps),
        "lucky": share(graded, lambda each: each.right and not each.steps),
        "tokens": round(mean(len(each.ids) for each in told), 1),
    }


def share(graded: list[Answered], wanted: Any) -> float:
    """Percentage of the answers that are so."""
    return round(100 * sum(map(wanted, graded)) / len(graded), 2)


def rows(folder: Path) -> list[dict[str, Any]]:
    """What was measured so far."""
    file = folder / "rows.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def note(folder: Path, row: dict[str, Any]) -> None:
    """Append a row."""
    print(row, flush=True)
    with (folder / "rows.jsonl").open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def table(found: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds, and the gain over each seed's policy."""
    first = {row["seed"]: row["right"] for row in found if row["model"] == POLICY}
    lines = [
        "| | steps | seeds | right | gain | a wrong step | right by a wrong step | tokens |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, steps in sorted({(row["model"], row["steps"]) for row in found}, key=lambda each: each[1]):
        own = [row for row in found if (row["model"], row["steps"]) == (name, steps)]
        gains = [row["right"] - first[row["seed"]] for row in own]
        columns = [[row[key] for row in own] for key in ("right", "wrong_step", "lucky", "tokens")]
        right, wrong, lucky, tokens = map(spread, columns)
        cells = (name, steps, len(own), right, spread(gains, "+"), wrong, lucky, tokens)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def spread(values: list[float], sign: str = "") -> str:
    """Mean, and standard deviation where there are several."""
    return f"{mean(values):{sign}.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Run a seed, or show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--responses", type=int, default=RESPONSES)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.seed is not None:
        counts = (asked.questions, asked.responses)
        run(asked.seed, asked.folder, asked.methods, asked.steps, counts)
    if asked.table:
        print(table(rows(asked.folder)))


if __name__ == "__main__":
    main()
