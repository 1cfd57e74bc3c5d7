"""A process reward model of the scale model, whole, seed by seed: data, training, best-of-N against N.

    python benchmarks/reward_model.py runs/reward --seed 0      # again for 1 and 2; goes on where it ended
    python benchmarks/reward_model.py runs/reward --table       # the rows of all seeds as tables

A seed trains a policy of its own (`scale_model/reasoning`), has it solve drawn questions, and go on from
every step of its solutions (`tessera prm build`). A critic is trained on these (`scale_model/critic`) and
rates candidates to held-out questions. All rules choose among the same candidates, the first of which is
greedy: one candidate is the greedy answer. `--develop` measures on questions that settings are chosen on.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from operator import and_
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from alignment import POLICY, call, note, rows, spread, write_questions

from tessera.align.critics.process import ProcessCritic
from tessera.align.preferences.response import read_response
from tessera.align.process.continuing import MarkedStep
from tessera.align.process.records import step_talk
from tessera.align.process.steps import split_steps
from tessera.chat.message import Conversation
from tessera.checkpoints.load import load_checkpoint
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.candidates import CandidateAsking, CandidateResults, evaluate_candidates
from tessera.evaluation.tasks import most_tokens
from tessera.records.writing import json_line, write_meta
from tessera.scoring.reasoned.steps import judge_steps
from tessera.scoring.selection.rule import SelectionRule
from tessera.scoring.step_verdicts import ScoredStep, count_steps

Steps = tuple[float, ...]
Told = dict[str, Steps]
"""Responses to a question with the scores of their steps."""
QUESTIONS, SOLUTIONS, CONTINUATIONS = 600, 4, 1
CANDIDATES, LOOKED_AT, ASKED = 16, 600, 400
"""Candidates to a question; held-out questions that settings were chosen on, and those behind them."""
SYSTEM = "is it right?"
"""What the critic is told: the published text has 535 tokens here, four times a whole talk."""
TRIED = 200
"""Of those that settings are chosen on, as many as `--develop` asks."""
TEMPERATURE, THRESHOLD = 0.7, 0.5
AGGREGATES: dict[str, Callable[[Steps], float]] = {"mean": mean, "min": min, "product": math.prod}
BEST, VOTE, WEIGHED = SelectionRule("best_of"), SelectionRule(), SelectionRule("majority", "critic")


@dataclass(frozen=True)
class Settings:
    """Of a critic. labels: "sampled" by continuations, or "checked" against the known solutions.

    start: what it is trained from; threshold: a sampled step is + where its score is above.
    """

    labels: str = "sampled"
    start: str = POLICY
    threshold: float = 0.0
    steps: int = 300

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.labels}_{self.start}_{self.threshold:g}_{self.steps}"


@dataclass
class Scorer:
    """A critic that remembers what it said of the steps of every response, question after question."""

    critic: ProcessCritic
    told: list[Told] = field(default_factory=list)

    def __call__(self, talk: Conversation, responses: Sequence[str]) -> list[float]:
        """The mean score of each response."""
        different = list(dict.fromkeys(responses))
        judged = self.critic.score(talk, different)
        self.told.append({text: one.steps for text, one in zip(different, judged, strict=True)})
        return [mean(self.told[-1][text] or (0.0,)) for text in responses]


def run(seed: int, folder: Path, settings: Settings, develop: bool) -> None:
    """All of one seed; what is there already is not made again."""
    home, part = folder / str(seed), "develop" if develop else "asked"
    policy, critic = home / "policy/0_reasoning", home / f"critic_{settings.name}/0_critic"
    if not policy.is_dir():
        call("train", "scale_model/reasoning", "--out", policy.parent, "--seed", seed)
    if not critic.is_dir():
        if not (home / "questions.jsonl").is_file():
            write_questions(home, seed, QUESTIONS)
        data = build(home, policy, seed, settings.threshold)
        data = check(home) if settings.labels == "checked" else data
        start = policy if settings.start == POLICY else settings.start
        given = ("--start.checkpoint", start, "--stages.0.sources.0.meta", data)
        length = ("--stages.0.steps", settings.steps)
        call("train", "scale_model/critic", "--out", critic.parent, *given, *length, "--seed", seed)
    known = {"seed": seed, "critic": settings.name, "part": part}
    if not any(row.items() >= known.items() for row in rows(folder)):
        note(folder, known | measure(policy, critic, seed, develop))


def build(home: Path, policy: Path, seed: int, threshold: float) -> Path:
    """Solutions whose steps are marked; answers that are there are marked anew only. Their meta file."""
    asked = (
        "--model",
        policy,
        "--dtype",
        "bfloat16",
        "--prompt",
        "plain",
        "--new-tokens",
        96,
        "--seed",
        seed,
    )
    counts = ("--responses", SOLUTIONS, "--continuations", CONTINUATIONS, "--temperature", TEMPERATURE)
    labels = ("--threshold", threshold, "--system", SYSTEM)
    call("prm", "build", home / "questions.jsonl", "-o", home / "steps", *asked, *counts, *labels)
    return home / "steps/meta.json"


def check(home: Path) -> Path:
    """The same solutions marked by the known ones: a step is + while it and all before are right."""
    file = home / "steps/solutions.jsonl"
    talks, meta = home / "steps/checked_prm.jsonl", home / "steps/checked.json"
    with talks.open("wb") as stream:
        for number, line in enumerate(file.read_text().splitlines()):
            response = read_response(json.loads(line), file, number + 1)
            steps = [step.text for step in split_steps(response.text)]
            right = accumulate((all(judge_steps(response.record["solution"], step)) for step in steps), and_)
            marks = [MarkedStep(step, float(good), good, 1) for step, good in zip(steps, right, strict=True)]
            if marks:
                stream.write(json_line(step_talk(number, response, marks, 0.0, system=SYSTEM)))
    entry = {"root": str(home.resolve()), "annotation": talks.name, "data_augment": False}
    write_meta(meta, {"checked": {**entry, "repeat_time": 1, "length": number + 1}})
    return meta


def measure(policy: Path, critic: Path, seed: int, develop: bool) -> dict[str, Any]:
    """Percentages of right choices by number of candidates, their cost, and how well steps are judged."""
    loaded = load_checkpoint(policy, dtype=torch.bfloat16)
    scorer = Scorer(ProcessCritic.open(critic, system=SYSTEM))
    sampling = Sampling(temperature=TEMPERATURE, max_new_tokens=most_tokens(["reason"]), seed=seed)
    asking = CandidateAsking(CANDIDATES, sampling, scores=scorer)
    count, skip = (TRIED, 0) if develop else (ASKED, LOOKED_AT)
    found = evaluate_candidates(Engine.of(loaded), loaded.encoder, asking, ["reason"], count, skip=skip)
    return {
        "questions": count,
        "points": points(found, scorer.told),
        "steps": judged(found, scorer),
        "ordered": ordered(found),
    }


def points(found: CandidateResults, told: Sequence[Told]) -> list[dict[str, float]]:
    """A row for each number of candidates."""
    curves = (
        found.curve({"majority": VOTE}),
        *(
            rescored(found, told, overall).curve({f"best, {name}": BEST, f"weighed, {name}": WEIGHED})
            for name, overall in AGGREGATES.items()
        ),
    )
    made = []
    for same in zip(*curves, strict=True):
        shares = {name: round(100 * share, 2) for one in same for name, share in one.shares.items()}
        costs = {name: round(getattr(same[0], name), 4) for name in ("tokens", "seconds", "critic_seconds")}
        made.append({"candidates": same[0].k, **shares, **costs})
    return made


def rescored(
    found: CandidateResults, told: Sequence[Told], overall: Callable[[Steps], float]
) -> CandidateResults:
    """The same candidates with another score made of the same steps."""
    questions = [
        replace(
            one,
            candidates=tuple(
                replace(each, score=overall(steps[graded.prediction] or (0.0,)))
                for each, graded in zip(one.candidates, one.graded, strict=True)
            ),
        )
        for one, steps in zip(found.questions, told, strict=True)
    ]
    return replace(found, questions=questions)


def judged(found: CandidateResults, scorer: Scorer) -> dict[str, float]:
    """F1 of right steps and of wrong ones against the known solutions, over all different responses.

    A step is right when it and all before it claim what is so; its score is the least so far.
    """
    steps: list[ScoredStep] = []
    for question, told in zip(found.questions, scorer.told, strict=True):
        expected = question.item.question.answer
        for text, scores in told.items():
            right = (all(judge_steps(expected, step)) for step in scorer.critic.steps(text))
            steps += zip(accumulate(right, and_), accumulate(scores, min), strict=True)
    counts = count_steps(steps, THRESHOLD)
    figures = {"right": counts.f1_right, "wrong": counts.f1_wrong, "macro": counts.macro_f1}
    shares = {name: round(100 * value, 2) for name, value in figures.items()}
    return {"steps": counts.steps, "share_wrong": round(100 * counts.wrong / counts.steps, 2), **shares}


def ordered(found: CandidateResults) -> float:
    """Percentage of pairs of a right and a wrong answer to one question of which the right one scores better.

    Equal scores count half; 50 is chance.
    """
    better: list[float] = []
    for question in found.questions:
        scores = [each.score or 0.0 for each in question.candidates]
        rated = list(zip(scores, question.right, strict=True))
        wrong = [score for score, right in rated if not right]
        better += [
            (score > other) + (score == other) / 2 for score, right in rated if right for other in wrong
        ]
    return round(100 * mean(better), 2) if better else 50.0


def table(found: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds of one critic's rows: by candidates, then of steps."""
    names = [name for name in found[0]["points"][0] if name != "candidates"]
    titles = [name.replace("seconds", "ms").replace("_", " ") for name in names]
    lines = [f"| {' | '.join(['N', *titles])} |", "|--:" * (len(names) + 1) + "|"]
    for points_ in zip(*(row["points"] for row in found), strict=True):
        cells = [spread([point[name] * _scale(name) for point in points_]) for name in names]
        lines.append(f"| {' | '.join([str(points_[0]['candidates']), *cells])} |")
    told = {name: spread([row["steps"][name] for row in found]) for name in found[0]["steps"]}
    heading = "| steps | wrong | F1 of right ones | of wrong ones | macro F1 | pairs in order |"
    cells = [*told.values(), spread([row["ordered"] for row in found])]
    return "\n".join([*lines, "", heading, "|--:" * len(cells) + "|", f"| {' | '.join(cells)} |"])


def _scale(name: str) -> int:
    """Seconds are shown as milliseconds."""
    return 1000 if name.endswith("seconds") else 1


def main() -> None:
    """Run a seed, or show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--labels", choices=("sampled", "checked"), default=Settings.labels)
    parser.add_argument("--start", choices=(POLICY, "shipped"), default=Settings.start)
    parser.add_argument("--threshold", type=float, default=Settings.threshold)
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.seed is not None:
        settings = Settings(asked.labels, asked.start, asked.threshold, asked.steps)
        run(asked.seed, asked.folder, settings, asked.develop)
    if asked.table:
        found = rows(asked.folder)
        for kind in dict.fromkeys((row["critic"], row["part"]) for row in found):
            print(*kind, "", table([row for row in found if (row["critic"], row["part"]) == kind]), sep="\n")


if __name__ == "__main__":
    main()
