"""Tokens a second with and without guesses from what was said before, in one run.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/guessing.py [--shape 1b|toy] [--tokens 120]

Random bfloat16 weights say nothing that repeats their prompt, so a grammar holds each answer to one text, on
both sides alike: `reading` is a passage of the prompt, `edit` the passage with every tenth word changed,
`table` rows that are half alike. `drawn` is held to nothing and drawn at temperature 1: nothing in it can be
guessed. Sides take turns; medians of processor time, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from inference_checkpoint import write

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation, say
from tessera.checkpoints.load import load_checkpoint
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.sampling.grammar import Grammar
from tessera.engine.sampling.options import Sampling

WORDS = "the red circle is left of a blue square and how many green lines are above it now see".split()  # noqa: SIM905


def texts(seed: int) -> dict[str, tuple[str, str]]:
    """Name -> a passage of the prompt and the answer."""
    draw = random.Random(seed)
    passage = " ".join(draw.choice(WORDS) for _ in range(200))
    edited = " ".join(w if n % 10 else draw.choice(WORDS) for n, w in enumerate(passage.split()))
    table = "".join(f"| {n} | red circle | {draw.randint(10, 99)} |\n" for n in range(40))
    return {
        "reading": (passage, passage),
        "edit": (passage, edited),
        "table": ("red circles", table),
        "drawn": ("", ""),
    }


def cases(
    encode: Callable[..., Encoded], tokens: int, batch: int
) -> dict[str, tuple[list[Encoded], list[Sampling]]]:
    """Name -> prompts and samplings."""
    found: dict[str, tuple[list[Encoded], list[Sampling]]] = {}
    for seed in range(batch):
        for name, (passage, answer) in texts(seed).items():
            prompt = encode(Conversation((say("user", f"Read this: {passage}"),)), generate=True)
            grammar = Grammar(choices=(answer,)) if answer else None
            sampling = Sampling(
                max_new_tokens=tokens, temperature=float(not answer), seed=seed, grammar=grammar
            )
            prompts, samplings = found.setdefault(name, ([], []))
            prompts.append(prompt)
            samplings.append(sampling)
    return found


def main() -> None:
    """Both sides, in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--guesses", type=int, nargs="+", default=[16])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.shape, "official")
        loaded = load_checkpoint(folder, dtype=torch.bfloat16)
        sides = {n: Engine.of(loaded, limits=EngineLimits(guesses_a_step=n)) for n in (0, *options.guesses)}
        result = {}
        for name, (prompts, samplings) in cases(loaded.encoder.encode, options.tokens, options.batch).items():
            for engine in sides.values():  # prompts are in the cache from here on
                engine.generate(prompts, [s.model_copy(update={"max_new_tokens": 8}) for s in samplings])
            result[name] = measured(sides, prompts, samplings, options.repeats)
            print(name, result[name], flush=True)
    print(
        json.dumps(
            {"what": "guessing", **vars(options), "threads": torch.get_num_threads(), "result": result}
        )
    )


def measured(
    sides: dict[int, Engine], prompts: list[Encoded], samplings: list[Sampling], repeats: int
) -> dict[str, float]:
    """Tokens a second of each side, and the share of guesses that came true."""
    rates: dict[int, list[float]] = {n: [] for n in sides}
    before = {n: engine.loop.stats() for n, engine in sides.items()}
    said = set()
    for _ in range(repeats):
        for n, engine in sides.items():
            start = time.process_time()
            done = engine.generate(prompts, samplings)
            rates[n].append(sum(len(each.ids) for each in done) / (time.process_time() - start))
            said.add(tuple(each.ids for each in done))
    found = {f"tokens/s, {n} guesses": round(statistics.median(rate), 2) for n, rate in rates.items()}
    for n, engine in sides.items():
        if n:
            after = engine.loop.stats()
            guessed = after.guessed_tokens - before[n].guessed_tokens
            right = after.right_tokens - before[n].right_tokens
            found[f"right, {n}"] = round(right / max(1, guessed), 3)
            steps = (after.steps - before[n].steps) * len(prompts)
            found[f"tokens a step, {n}"] = round((after.answer_tokens - before[n].answer_tokens) / steps, 2)
    return found | {"answers differ": len(said) - 1}


if __name__ == "__main__":
    main()
