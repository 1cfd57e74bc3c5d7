"""Scores of steps: responses in shared streams, one by one, and step by step; and what continuations cost.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/step_scores.py [--questions 8] [--rounds 3]

The shipped model in float32, drawn pictures, eight responses of six steps to each question. `shared`: all
responses of a question in one forward pass, the picture and the question once. `alone`: a pass for each
response. `steps`: a pass for each step with all that stands before it, as the published soft scores are made.
All give the same scores. Processor time, the best of the rounds. `cached`: share of the prompts' tokens that
`tessera prm build` finds in the engine's cache with 16 continuations a step, and continuations a second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import torch

from tessera.align.critics.process import ProcessCritic
from tessera.align.process.steps import split_steps
from tessera.align.process.talk import judging_talk
from tessera.chat.message import Conversation, ask
from tessera.cli.main import main as tessera
from tessera.nn.attention.layout import Packed
from tessera.playground.scene import draw_scene

RESPONSES, STEPS = 8, 6
Side = Callable[[Conversation, list[str]], list[float]]


def question(number: int) -> tuple[Conversation, PIL.Image.Image]:
    """A drawn picture of several tiles, and what is asked."""
    picture = draw_scene("shapes", number, size=(192, 128)).media[0].source
    assert isinstance(picture, PIL.Image.Image)
    return Conversation((ask("How many things are there? Think step by step.", [picture]),)), picture


def responses(number: int) -> list[str]:
    """Solutions that differ from the first step on."""
    told = "I look at row {} of the picture for the {}. time and see {} things there, all of one colour."
    return [
        "\n\n".join(told.format(step + 1, one + 1, (number + one * step) % 7) for step in range(STEPS))
        for one in range(RESPONSES)
    ]


def step_by_step(critic: ProcessCritic) -> Side:
    """Every step has a prompt of its own."""
    encoder, vlm = critic.model.encoder, critic.model.loaded.model

    @torch.inference_mode()
    def score(talk: Conversation, solutions: list[str]) -> list[float]:
        found = []
        for solution in solutions:
            steps = [step.text for step in split_steps(solution)]
            for count in range(1, len(steps) + 1):
                asked = judging_talk(talk.messages[0].parts, steps[:count], ["+"] * (count - 1))
                one = encoder.encode(asked, generate=True)
                ids, tiles = torch.from_numpy(one.ids).long(), torch.from_numpy(one.tiles)
                last = vlm.logits(vlm(ids, Packed((len(ids),)), tiles=tiles)[-1:])[0]
                found.append(float(last[list(critic.writer.signs)].float().softmax(-1)[0]))
        return found

    return score


def timed(side: Side, rounds: int, questions: int) -> tuple[float, list[float]]:
    """Seconds of processor time of the best round, and the scores."""
    talks = [(question(number)[0], responses(number)) for number in range(questions)]
    best, found = float("inf"), list[float]()
    for _ in range(rounds):
        begun = time.process_time()
        found = [score for talk, solutions in talks for score in side(talk, solutions)]
        best = min(best, time.process_time() - begun)
    return best, found


def continued(questions: int) -> dict[str, Any]:
    """`tessera prm build` on two of the responses of every question."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()) as out:
        folder, rows = Path(name), []
        for number in range(questions):
            question(number)[1].save(folder / f"{number}.png")
            about = {"image": f"{number}.png", "question": "<image>\nHow many?", "prompt_version": "en_v2"}
            rows += [{**about, "answer": "5", "response": each} for each in responses(number)[:2]]
        (folder / "said.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        words = ["prm", "build", str(folder / "said.jsonl"), "-o", str(folder / "out"), "--new-tokens", "16"]
        begun = time.perf_counter()
        tessera([*words, "--json"])
        seconds = time.perf_counter() - begun
        told = json.loads(out.getvalue())
    return {
        "continuations": 16 * told["steps"],
        "per_second": round(16 * told["steps"] / seconds, 1),
        "prompt_tokens": told["prompt_tokens"],
        "cached": round(told["cached_tokens"] / told["prompt_tokens"], 3),
    }


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    critic = ProcessCritic.open(loading={"dtype": "float32"})
    sides: dict[str, Side] = {
        "shared": lambda talk, each: [s for one in critic.score(talk, each) for s in one.steps],
        "alone": lambda talk, each: [s for one in each for s in critic.score(talk, [one])[0].steps],
        "steps": step_by_step(critic),
    }
    seconds, scores = {}, {}
    for name, side in sides.items():
        rounds = 1 if name == "steps" else given.rounds
        seconds[name], scores[name] = timed(side, rounds, given.questions)
    gap = max(abs(a - b) for a, b in zip(scores["shared"], scores["steps"], strict=True))
    print(
        json.dumps(
            {
                "steps_scored": len(scores["shared"]),
                "seconds": {name: round(value, 3) for name, value in seconds.items()},
                "over_alone": round(seconds["alone"] / seconds["shared"], 2),
                "over_steps": round(seconds["steps"] / seconds["shared"], 2),
                "largest_difference": gap,
                "build": continued(given.questions),
            }
        )
    )


if __name__ == "__main__":
    main()
