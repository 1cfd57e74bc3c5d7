"""Visual experts: a prompt by experts that see their own rows, and by both on all rows as the released code
has it; and a token of an answer with and without experts in the model.

    PYTHONPATH=src python benchmarks/mono.py [--width 1024] [--layers 12] [--tiles 4] [--repeats 5]

Random bfloat16 weights, InternLM2-1.8B's proportions (feed-forward four times the width, heads of 128, half
as many for keys and values), linears packed as `tessera.load` has them, one thread. The prompt has `--tiles`
tiles of 448 px and 64 tokens of text; the model goes from tiles to the scores of the first token. Both forms
spare the last block's rows that nobody asks for. All sides compute in turns; told are medians of processor
seconds, and that both forms give the same scores. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tessera.families.mono.config import MonoConfig, PatchConfig
from tessera.models.config import DecoderConfig
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged
from tessera.nn.linear import make_linear

TEXT, VOCABULARY, IMAGE = 64, 4096, 7


class Both(nn.Module):
    """Both feed-forwards on every token, one of them times zero."""

    def __init__(self, text: nn.Module, visual: nn.Module) -> None:
        super().__init__()
        self.text, self.visual = text, visual
        self.mask: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[T, D] to [T, D]."""
        if self.mask is None or len(self.mask) != len(x):  # the last block's one row is of text
            return self.text(x) * 1.0 + self.visual(x) * 0.0
        return self.text(x) * (1.0 - self.mask) + self.visual(x) * self.mask


def config_of(width: int, layers: int, experts: bool) -> MonoConfig:
    """The proportions of InternLM2-1.8B at another width."""
    decoder = DecoderConfig(
        architecture="internlm2",
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 128,
        num_key_value_heads=max(1, width // 256),
        attention_bias=False,
        visual_experts=experts,
    )
    return MonoConfig(vision=PatchConfig(), decoder=decoder, image_token_id=IMAGE)


def build(config: MonoConfig) -> VLM:
    """In bfloat16, linears packed."""
    model = VLM(config).bfloat16().eval()
    initialise(model, 0)
    for path, linear in list(model.named_modules()):
        if isinstance(linear, nn.Linear):
            parent, _, child = path.rpartition(".")
            bias = None if linear.bias is None else linear.bias.detach()
            setattr(model.get_submodule(parent), child, make_linear("packed", linear.weight.detach(), bias))
    return model


class Side:
    """A model with a cache, that reads the prompt or says the next token."""

    def __init__(self, model: VLM, tiles: int) -> None:
        config = model.config
        self.model, decoder = model, config.decoder
        count = tiles * config.tokens_per_tile
        words = torch.arange(8, 8 + TEXT)
        self.ids = torch.cat((words[:8], torch.full((count,), IMAGE), words[8:]))
        self.tiles = torch.randint(0, 256, (tiles, 448, 448, 3), dtype=torch.uint8)
        shape = (decoder.num_hidden_layers, 1, len(self.ids) + 256, decoder.num_key_value_heads)
        self.cache = KVCache(*shape, decoder.head_width, torch.bfloat16)

    @torch.inference_mode()
    def prefill(self) -> torch.Tensor:
        """Scores of the first token."""
        layout = Paged((len(self.ids),), (0,), ((0,),))
        rows = torch.tensor([len(self.ids) - 1])
        hidden = self.model(self.ids, layout, tiles=self.tiles, cache=self.cache, rows=rows)
        return self.model.logits(hidden)

    @torch.inference_mode()
    def decode(self, tokens: int = 16) -> None:
        """So many tokens behind the prompt, one by one."""
        for place in range(len(self.ids), len(self.ids) + tokens):
            layout = Paged((1,), (place,), ((0,),))
            hidden = self.model(torch.tensor([9]), layout, cache=self.cache, rows=torch.tensor([0]))
            self.model.logits(hidden)


def both(model: VLM, ids: torch.Tensor) -> VLM:
    """The same weights in the released form."""
    for block in model.decoder.layers:
        joined = Both(block.mlp, block.mlp_visual)  # type: ignore[arg-type]
        joined.mask = (ids == IMAGE)[:, None].bfloat16()
        block.mlp, block.mlp_visual = joined, None  # type: ignore[assignment]
    return model


def measure(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each, in turns, behind two rounds that are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(repeats + 2):
        for name, run in sides.items():
            began = time.process_time()
            run()
            if number > 1:
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--tiles", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    experts = config_of(given.width, given.layers, True)
    ours = Side(build(experts), given.tiles)
    released = Side(both(build(experts), ours.ids), given.tiles)
    plain = Side(build(config_of(given.width, given.layers, False)), given.tiles)
    released.tiles = plain.tiles = ours.tiles
    first, second = ours.prefill().float(), released.prefill().float()
    apart = float((first - second).norm() / first.norm())
    prefill = measure(
        {"own rows": ours.prefill, "both on all": released.prefill, "no experts": plain.prefill},
        given.repeats,
    )
    decode = measure({"experts": ours.decode, "no experts": plain.decode}, given.repeats)
    print(
        f"prompt of {len(ours.ids):,} tokens, {given.tiles} tiles; scores differ by {apart:.4f} of their norm"
    )
    for name, seconds in prefill.items():
        print(f"prefill, {name}: {seconds:.3f} s, {seconds / prefill['own rows']:.2f} times")
    for name, seconds in decode.items():
        print(f"decode, {name}: {1000 * seconds / 16:.2f} ms a token")
    told = {
        "shape": {"width": given.width, "layers": given.layers, "tokens": len(ours.ids)},
        "prefill_s": prefill,
        "prefill_ratio": prefill["both on all"] / prefill["own rows"],
        "decode_s_16_tokens": decode,
        "decode_ratio": decode["experts"] / decode["no experts"],
        "apart": apart,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
