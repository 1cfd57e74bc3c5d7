"""Routed experts: a prompt and tokens of an answer, by us and by transformers, in one process and in turns.

    PYTHONPATH=src python benchmarks/moe.py [--width 1024] [--layers 4] [--experts 64] [--repeats 5]

A Qwen3-MoE decoder of random bfloat16 weights, eight experts for a token, half the width within each; linears
packed as `tessera.load` has them, one thread. transformers has the same weights, and each of its own forms
of experts takes its turn: eager, grouped_mm and, for tokens alone, batched_mm, which copies the matrices of
every row (12 GB of the prompt's); its fastest counts. The prompt has `--tokens` tokens, to the scores of the
first token; an answer goes on behind it, a token a step, both with a cache. Told are medians of processor
seconds over `--repeats` turns, and how far the scores lie apart. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from tessera.checkpoints.weights import read_own, stored_keys
from tessera.families.decoders.config import read_decoder
from tessera.families.decoders.weights import decoder_rules
from tessera.families.keymap import KeyMap
from tessera.models.decoder import Decoder
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged
from tessera.nn.linear import make_linear
from tessera.runtime.json_file import Section

TOP_K, VOCABULARY, ANSWER, PAGE = 8, 4096, 8, 64
FORMS = ("eager", "grouped_mm")
COPYING = "batched_mm"


class Held:
    """transformers' weights as a source of files."""

    def __init__(self, theirs: nn.Module) -> None:
        self.tensors = theirs.state_dict()

    def tensor(self, key: str) -> torch.Tensor:
        """A weight by its name."""
        return self.tensors[key]

    def place(self, key: str) -> str:
        """Where it lies."""
        return key


def build_theirs(args: argparse.Namespace) -> Qwen3MoeForCausalLM:
    """Random weights, spread as far as a trained model's."""
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=VOCABULARY,
        hidden_size=args.width,
        intermediate_size=args.width,
        moe_intermediate_size=args.width // 2,
        num_hidden_layers=args.layers,
        num_attention_heads=args.width // 128,
        num_key_value_heads=max(1, args.width // 256),
        head_dim=128,
        num_experts=args.experts,
        num_experts_per_tok=TOP_K,
        norm_topk_prob=True,
    )
    return Qwen3MoeForCausalLM(config).to(torch.bfloat16).eval()


def build_ours(theirs: Qwen3MoeForCausalLM) -> Decoder:
    """The same weights, linears packed."""
    said = theirs.config.to_dict() | {"architectures": [type(theirs).__name__]}
    config = read_decoder(Section("config", said))
    ours = Decoder(config).to(torch.bfloat16).eval()
    table = KeyMap(decoder_rules("qwen3_moe", "model.", "lm_head.", 0, config.expert_count, fused=True))
    expected = {f"decoder.{name}": parameter for name, parameter in ours.named_parameters()}
    groups = dict.fromkeys(stored_keys(expected, table).values())
    with torch.no_grad():
        for name, tensor in read_own(groups, expected, Held(theirs)):  # type: ignore[arg-type]
            expected[name].copy_(tensor)
    for path, linear in list(ours.named_modules()):
        if isinstance(linear, nn.Linear):
            parent, _, child = path.rpartition(".")
            setattr(ours.get_submodule(parent), child, make_linear("packed", linear.weight.detach(), None))
    return ours


class Ours:
    """A decoder with a cache, that reads the prompt or says the next token."""

    def __init__(self, model: Decoder, tokens: int) -> None:
        config = model.config
        self.model, self.pages = model, tuple(range(-(-(tokens + ANSWER) // PAGE)))
        shape = (
            config.num_hidden_layers,
            len(self.pages),
            PAGE,
            config.num_key_value_heads,
            config.head_width,
        )
        self.cache = KVCache(*shape, dtype=torch.bfloat16)

    def step(self, ids: torch.Tensor, seen: int) -> torch.Tensor:
        """Scores [V] behind new ids."""
        layout = Paged((len(ids),), (seen,), (self.pages,))
        rows = layout.ends(ids.device)
        return self.model.logits(self.model(self.model.embed(ids), layout, cache=self.cache, rows=rows))[0]


class Theirs:
    """transformers with its own cache."""

    def __init__(self, model: Qwen3MoeForCausalLM, form: str) -> None:
        self.model, self.form, self.past = model, form, None

    def step(self, ids: torch.Tensor, seen: int) -> torch.Tensor:
        """Scores [V] behind new ids."""
        self.model.set_experts_implementation(self.form)
        past = self.past if seen else None
        out = self.model(ids[None], past_key_values=past, use_cache=True, logits_to_keep=1)
        self.past = out.past_key_values
        return out.logits[0, -1]


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(
    sides: dict[str, Any], ids: torch.Tensor, repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of a prompt, and of a token of its answer."""
    prompts: dict[str, list[float]] = {name: [] for name in sides}
    steps: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            if name != COPYING:
                prompts[name].append(seconds(lambda side=side: side.step(ids, 0)))  # type: ignore[misc]
            for number in range(ANSWER):
                token, seen = ids[number : number + 1], len(ids) + number
                steps[name].append(seconds(lambda side=side, t=token, s=seen: side.step(t, s)))  # type: ignore[misc]
    middle = statistics.median
    return {n: middle(found) for n, found in prompts.items() if found}, {
        n: middle(found) for n, found in steps.items()
    }


@torch.inference_mode()
def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    for name, default in (("width", 1024), ("layers", 4), ("experts", 64), ("tokens", 512), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    theirs = build_theirs(args)
    ours = Ours(build_ours(theirs), args.tokens)
    sides: dict[str, Any] = {"ours": ours} | {form: Theirs(theirs, form) for form in FORMS}
    sides[COPYING] = Theirs(theirs, COPYING)
    ids = torch.randint(VOCABULARY, (args.tokens,), generator=torch.Generator().manual_seed(1))
    scores = {name: sides[name].step(ids, 0).float() for name in ("ours", *FORMS)}  # also warms up
    sides[COPYING].past = copy.deepcopy(sides[FORMS[0]].past)
    for side in sides.values():
        side.step(ids[:1], args.tokens)
    apart = {n: float((s - scores["ours"]).norm() / scores["ours"].norm()) for n, s in scores.items()}
    prompts, steps = measure(sides, ids, args.repeats)
    best = {"p": min(prompts[f] for f in FORMS), "s": min(steps[f] for f in (*FORMS, COPYING))}
    for name in sides:
        prompt = f"{prompts[name]:.3f} s" if name in prompts else "not run"
        print(f"{name:>11}  prompt {prompt}  token {1000 * steps[name]:.1f} ms")
    told = {
        "shape": {**vars(args), "top_k": TOP_K, "dtype": "bfloat16"},
        "prefill_s": prompts,
        "token_s": steps,
        "prefill_times": best["p"] / prompts["ours"],
        "token_times": best["s"] / steps["ours"],
        "apart": max(apart.values()),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
