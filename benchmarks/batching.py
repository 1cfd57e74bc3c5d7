"""Requests that join and leave at any step against batches that wait for their longest answer, in one run.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/batching.py [--requests 48] [--rounds 3]

The shipped model in bfloat16. Answers have drawn lengths and no end of their own. `continuous`: the engine,
16 requests at a time. `fixed`: the same engine, 16 at a time, the next when the last of them is through.
`transformers`: `generate` of the same weights on the same batches of 16, padded on the left, as long as the
longest answer; tokens beyond an answer's length don't count. Sides take turns; medians of processor time,
which a busy machine disturbs least. Every round begins with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import torch

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation, ask
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.models.vlm import normalise
from tessera.peers.transformers_twin import twin
from tessera.playground.scene import draw_scene

AT_ONCE = 16
LENGTHS = (8, 16, 32, 64, 128)
Side = Callable[[list[Encoded], list[int]], None]


def prompts_of(loaded: Loaded, count: int, pictures: bool) -> list[Encoded]:
    """Questions about drawn scenes, with their pictures or without."""
    found = []
    for seed in range(count):
        scene = draw_scene("shapes", seed=seed, size=(192, 128) if seed % 2 else (96, 96))
        shown = [scene.media[0].source] if pictures else []
        talk = Conversation((ask(scene.questions[0].text, shown),))
        found.append(loaded.encoder.encode(talk, generate=True))
    return found


def ours(loaded: Loaded, continuous: bool) -> Side:
    """The engine, with an empty cache; `fixed` has one for every batch, as it shares nothing."""

    def run(prompts: list[Encoded], lengths: list[int]) -> None:
        step = len(prompts) if continuous else AT_ONCE
        for start in range(0, len(prompts), step):
            engine = Engine(loaded.model, loaded.tokenizer, frozenset(), AT_ONCE, limits=EngineLimits())
            samplings = [Sampling(max_new_tokens=each) for each in lengths[start : start + step]]
            engine.generate(prompts[start : start + step], samplings)

    return run


def theirs() -> Side:
    """transformers' model with the same weights."""
    plain = load_checkpoint(shipped_folder(), linears="plain")
    config, model = plain.family.model, twin(plain.model.float()).to(torch.bfloat16)
    model.generation_config.eos_token_id = None

    @torch.inference_mode()
    def run(prompts: list[Encoded], lengths: list[int]) -> None:
        for start in range(0, len(prompts), AT_ONCE):
            group, longest = prompts[start : start + AT_ONCE], max(lengths[start : start + AT_ONCE])
            width = max(len(each.ids) for each in group)
            ids = torch.zeros(len(group), width, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, each in enumerate(group):
                ids[row, width - len(each.ids) :] = torch.from_numpy(each.ids)
                mask[row, width - len(each.ids) :] = 1
            tiles = torch.cat([torch.from_numpy(each.tiles) for each in group])
            pixels = {}
            if len(tiles):
                pixels["pixel_values"] = normalise(tiles, config.mean, config.std, torch.bfloat16)
            model.generate(
                input_ids=ids,
                attention_mask=mask,
                **pixels,
                do_sample=False,
                min_new_tokens=longest,
                max_new_tokens=longest,
                pad_token_id=0,
            )

    return run


def main() -> None:
    """All workloads; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    loaded = load_checkpoint(shipped_folder(), linears="packed")
    sides = {"continuous": ours(loaded, True), "fixed": ours(loaded, False), "transformers": theirs()}
    found: dict[str, dict[str, float]] = {}
    for workload in ("text", "pictures"):
        prompts = prompts_of(loaded, options.requests, workload == "pictures")
        draw = random.Random(1)
        lengths = [draw.choice(LENGTHS) for _ in prompts]
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, side in sides.items():
                begun = time.process_time()
                side(prompts, lengths)
                spent[name].append(time.process_time() - begun)
        speeds = {name: sum(lengths) / statistics.median(each) for name, each in spent.items()}
        found[workload] = {
            "prompt_tokens": sum(len(each.ids) for each in prompts),
            "tiles": sum(len(each.tiles) for each in prompts),
            **{f"{name}_tokens_per_second": round(speed, 1) for name, speed in speeds.items()},
            **{
                f"continuous_over_{name}": round(speeds["continuous"] / speeds[name], 2)
                for name in ("fixed", "transformers")
            },
        }
        print(workload, found[workload])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
