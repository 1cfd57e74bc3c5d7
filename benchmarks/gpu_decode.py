"""Answers on one GPU at a released shape: our engine, and transformers' `generate` on its language model.

    PYTHONPATH=src python benchmarks/gpu_decode.py [--shape 8b|1b|toy] [--device cuda] [--no-peer]

Random bfloat16 weights. First recorded steps are compared with plain ones. Then, medians over repeats:

- tokens a second of whole steps of the engine (scheduling, sampling and events included) at 1, 4, 16 and 64
  requests behind prompts of 64 tokens, and at 1 the share of the memory's nominal speed at which weights are
  read; `device` is the recorded step alone;
- the first token behind one and behind 13 tiles, from the encoded prompt; `encode` is what comes before it;
- 64 requests at once, each with a picture of its own (one tile) and 128 tokens to say: all of it, tokens a
  second;
- the peer: the same decoder as transformers' Qwen2, greedy, prompts of 64 tokens without pictures.

The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import torch
from gpu_models import NOMINAL, drawn, read_bytes, wait

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation, ask
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.runner import Runner
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.imaging.grid import Tiling
from tessera.nn.attention.layout import Paged
from tessera.runtime.device import choose_device

BATCHES = (1, 4, 16, 64)
PROMPT = 64


class Bench:
    """One model and its engine."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.device = choose_device(arguments.device)
        self.steps, self.repeats = arguments.steps, arguments.repeats
        self.model, self.family, self.tokenizer = drawn(arguments.shape, self.device)
        self.model.eval()
        recorded = self.device.type == "cuda" and not arguments.plain
        given = {"cache_bytes": arguments.cache_gib * 2**30, "picture_bytes": 0, "guesses_a_step": 0}
        limits = EngineLimits.model_validate(given | {"record_steps": recorded})
        self.engine = Engine(self.model, self.tokenizer, frozenset(), BATCHES[-1], limits=limits)
        self.seed = 0

    def words(self, count: int) -> Encoded:
        """A prompt that no other begins like."""
        self.seed += 1
        drawn = np.random.default_rng(self.seed).integers(0, self.tokenizer.vocab_size // 2, count)
        side = self.model.config.vision.image_size
        tiles = np.zeros((0, side, side, 3), np.uint8)
        return Encoded(drawn.astype(np.int32), np.zeros(count, np.float32), tiles, ())

    def picture(self, tiles: int) -> tuple[Encoded, float]:
        """A question about a picture nobody has seen, and the seconds it took to encode it."""
        self.seed += 1
        side = self.model.config.vision.image_size
        size = (side, side) if tiles == 1 else (4 * side, 3 * side)
        noise = np.random.default_rng(self.seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
        shown = PIL.Image.fromarray(noise).resize(size)
        tiling = Tiling(tile_side=side, max_tiles=max(1, tiles - 1))
        encoder = self.family.model_copy(update={"tiling": tiling}).encoder(self.tokenizer)
        start = time.perf_counter()
        encoded = encoder.encode(Conversation((ask("What does this picture show?", [shown]),)), generate=True)
        assert len(encoded.tiles) == tiles
        return encoded, time.perf_counter() - start

    def decode(self, batch: int) -> dict[str, float]:
        """Steady steps of so many requests."""
        loop = self.engine.loop
        asked = Sampling(max_new_tokens=self.steps + 16)
        tickets = [loop.submit(self.engine.sequence(self.words(PROMPT), asked)) for _ in range(batch)]
        for _ in range(8):
            loop.step()
        wait(self.device)
        start = time.perf_counter()
        for _ in range(self.steps):
            loop.step()
        wait(self.device)
        seconds = (time.perf_counter() - start) / self.steps
        while loop.step():
            pass
        assert all(len(ticket.completion().ids) == self.steps + 16 for ticket in tickets)
        return {"tokens/s": batch / seconds, "ms a step": 1e3 * seconds}

    def device_alone(self, batch: int) -> float:
        """Milliseconds of the recorded step, one behind the other."""
        graphs = self._runner.graphs
        if graphs is None:
            return float("nan")
        recorded = next(graphs._recorded[size] for size in sorted(graphs._recorded) if size >= batch)
        wait(self.device)
        start = time.perf_counter()
        for _ in range(50):
            recorded.graph.replay()
        wait(self.device)
        return 1e3 * (time.perf_counter() - start) / 50

    def first(self, tiles: int) -> dict[str, float]:
        """Seconds to the first token."""
        encoded, encoding = self.picture(tiles)
        wait(self.device)
        start = time.perf_counter()
        next(iter(self.engine.events(encoded, Sampling(max_new_tokens=1))))
        return {"ms": 1e3 * (time.perf_counter() - start), "encode ms": 1e3 * encoding}

    def all_at_once(self, tokens: int) -> dict[str, float]:
        """A crowd with a picture each."""
        prompts = [self.picture(1)[0] for _ in range(BATCHES[-1])]
        wait(self.device)
        start = time.perf_counter()
        answers = self.engine.generate(prompts, Sampling(max_new_tokens=tokens))
        seconds = time.perf_counter() - start
        said = sum(len(answer.ids) for answer in answers)
        return {"tokens/s": said / seconds, "seconds": seconds}

    @torch.inference_mode()
    def difference(self) -> float:
        """Of the scores behind a few new tokens: recorded against plain, over the plain ones' size."""
        from tessera.engine.core.graphs import Newest

        runner, plain = self._runner, self.model
        if runner.graphs is None:
            return float("nan")
        prompts = [self.words(count).ids.tolist() for count in (70, 33, 130)]
        tables = [tuple(range(20 * row, 20 * row + 20)) for row in range(len(prompts))]
        layout = Paged(tuple(map(len, prompts)), (0,) * len(prompts), tuple(tables))
        ids = torch.tensor([token for prompt in prompts for token in prompt])
        plain(ids, layout, layout.positions(), cache=runner.cache)
        newest = [
            Newest(7 + row, float(len(prompt)), len(prompt), list(table))
            for row, (prompt, table) in enumerate(zip(prompts, tables, strict=True))
        ]
        found = runner.graphs.run(newest).float().clone()
        step = Paged((1,) * len(prompts), tuple(map(len, prompts)), tuple(tables))
        places = torch.tensor([n.position for n in newest])
        hidden = plain(torch.tensor([n.token for n in newest]), step, places, cache=runner.cache)
        expected = plain.logits(hidden).float()
        return float((found - expected).norm() / expected.norm())

    @property
    def _runner(self) -> Runner:
        return self.engine.loop._runner


def peer(bench: Bench, batch: int, tokens: int) -> float:
    """Tokens a second of transformers' greedy `generate`; the model is made once."""
    config = bench.model.config.decoder
    model = _their_model(config, bench.device)
    ids = torch.randint(0, 1000, (batch, PROMPT), device=bench.device)

    def seconds(count: int) -> float:
        wait(bench.device)
        start = time.perf_counter()
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
        wait(bench.device)
        return time.perf_counter() - start

    seconds(4)
    return batch * tokens / (seconds(tokens + 4) - seconds(4))


_MADE: dict[str, Any] = {}


def _their_model(config: Any, device: torch.device) -> Any:
    import transformers

    if "model" not in _MADE:
        theirs = transformers.Qwen2Config(
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            intermediate_size=config.intermediate_size,
            vocab_size=config.vocab_size,
            rope_theta=config.rope_theta,
            tie_word_embeddings=config.tie_word_embeddings,
            max_position_embeddings=32768,
            eos_token_id=None,
        )
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            _MADE["model"] = transformers.Qwen2ForCausalLM(theirs).eval()
        torch.set_default_dtype(before)
    return _MADE["model"]


def medians(measure: Callable[[], dict[str, float]], repeats: int) -> dict[str, float]:
    """Of each number; the first time is left out."""
    measure()
    rows = [measure() for _ in range(repeats)]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main(words: list[str] | None = None) -> None:
    """Compare, measure, show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=("8b", "1b", "toy"), default="8b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cache-gib", type=int, default=16)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--plain", action="store_true", help="steps are not recorded")
    arguments = parser.parse_args(words)
    bench = Bench(arguments)
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu"
    rows: dict[str, Any] = {"recorded against plain": bench.difference()}
    print(json.dumps(rows), flush=True)
    for batch in BATCHES:
        row = medians(lambda batch=batch: bench.decode(batch), arguments.repeats)
        row["device ms"] = bench.device_alone(batch)
        if batch == 1 and name in NOMINAL:
            row["TB/s"] = read_bytes(bench.model) * row["tokens/s"] / 1e12
            row["share of nominal"] = row["TB/s"] / NOMINAL[name][1]
        rows[f"decode {batch}"] = row
        print(f"decode {batch}", row, flush=True)
    for tiles in (1, 13):
        rows[f"first token, {tiles} tiles"] = medians(lambda n=tiles: bench.first(n), arguments.repeats)
        print(f"first token, {tiles} tiles", rows[f"first token, {tiles} tiles"], flush=True)
    rows["64 at once"] = medians(lambda: bench.all_at_once(2 * arguments.steps), 1)
    print("64 at once", rows["64 at once"], flush=True)
    if not arguments.no_peer:
        for batch in BATCHES:
            rows[f"transformers {batch}"] = {"tokens/s": peer(bench, batch, arguments.steps)}
            print(f"transformers {batch}", rows[f"transformers {batch}"], flush=True)
    about = {"torch": torch.__version__, "device": name, "shape": arguments.shape}
    print(json.dumps({"benchmark": "gpu_decode", **about, "rows": rows}))


if __name__ == "__main__":
    main()
