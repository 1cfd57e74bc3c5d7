"""Ours and transformers' side of `decode.py`, each in a process of its own.

    python decode_sides.py ours|theirs wall|processor

Reads one JSON request a line, answers each with one JSON line: `load` (folder, linears), `decode` (batch,
tokens), `prefill` (tokens), `see`, `first` (a prompt file), `memory`, `reading` (what the memory gives).
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from inference_sides import Clock, Ours, Theirs, now, resident_mib

PROMPT = 64
"""Tokens of each prompt before a batch is decoded."""


class OurDecoding(Ours):
    """Tessera's engine."""

    def rows(self, count: int, length: int, tokens: int, clock: Clock) -> None:
        """Answers of so many tokens to random prompts, one stamp a step."""
        from tessera.chat.encoder import Encoded
        from tessera.engine.core.limits import EngineLimits
        from tessera.engine.sampling.options import Sampling

        side = self.model.config.vision.image_size
        nothing = np.zeros((0, side, side, 3), np.uint8)
        prompts = [Encoded(ids, np.zeros(length, np.float32), nothing, ()) for ids in drawn(count, length)]

        def stamped(hidden: torch.Tensor) -> torch.Tensor:
            scores = self._logits(hidden)
            clock.stamp()
            return scores

        self.model.logits = stamped
        limits = EngineLimits(
            guesses_a_step=0
        )  # random weights repeat themselves: steps would have more rows
        engine = self._engine(self.model, self.loaded.tokenizer, frozenset(), limits=limits)
        engine.generate(prompts, Sampling(max_new_tokens=tokens))

    @torch.inference_mode()
    def see(self, tiles: np.ndarray) -> None:
        """ViT and connector."""
        self._see(torch.from_numpy(tiles))

    def weights(self) -> int:
        """Bytes that one token reads."""
        decoder, total = self.model.decoder, 0
        for layer in (*decoder.layers.modules(), decoder.lm_head):
            own = [*layer.parameters(False), *layer.buffers(False), getattr(layer, "_weight", None)]
            total += sum(each.numel() * each.element_size() for each in own if each is not None)
        return total


class TheirDecoding(Theirs):
    """transformers' `generate`."""

    @torch.inference_mode()
    def rows(self, count: int, length: int, tokens: int, clock: Clock) -> None:
        """As ours, one batch."""
        from transformers import LogitsProcessorList

        def stamp(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            clock.stamp()
            return scores

        ids = torch.from_numpy(drawn(count, length)).long()
        self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=0,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            logits_processor=LogitsProcessorList([stamp]),
        )

    @torch.inference_mode()
    def see(self, tiles: np.ndarray) -> None:
        """ViT and connector."""
        from tessera.models.vlm import normalise

        statistics_of = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self._see(pixel_values=normalise(torch.from_numpy(tiles), *statistics_of, self.model.dtype))


def drawn(count: int, length: int) -> np.ndarray:
    """Ids int32 [count, length] that every tokenizer has; no two rows begin alike."""
    return np.random.default_rng(count).integers(10, 300, (count, length)).astype(np.int32)


def timed(do: Callable[[], object]) -> float:
    """Seconds."""
    start = now()
    do()
    return now() - start


def decode(side: OurDecoding | TheirDecoding, batch: int, tokens: int) -> float:
    """Tokens a second of all rows, once all are decoded together: by the median step."""
    clock = Clock()
    side.rows(batch, PROMPT, tokens, clock)
    steps = np.diff(clock.stamps)[-(tokens - 4) :]
    return batch / statistics.median(steps)


def reading() -> float:
    """Bytes a second that a sum over much more than the caches reads; the best of some."""
    numbers = torch.ones(2**26)
    return numbers.nbytes / min(timed(numbers.sum) for _ in range(9))


def handle(side: OurDecoding | TheirDecoding, request: Mapping[str, Any]) -> float:
    """One request."""
    match request["do"]:
        case "load":
            side.load(request["folder"], "bfloat16", request["linears"])
            decode(side, 2, 6)
            return float(side.weights()) if isinstance(side, OurDecoding) else 0.0
        case "decode":
            return decode(side, request["batch"], request["tokens"])
        case "prefill":
            return request["tokens"] / timed(lambda: side.rows(1, request["tokens"], 1, Clock()))
        case "see":
            tiles = np.random.default_rng(0).integers(0, 255, (1, *request["tile"]), dtype=np.uint8)
            return 1 / timed(lambda: side.see(tiles))
        case "first":
            prompt = np.load(request["prompt"])
            return timed(lambda: side.answer(prompt, 1, Clock()))
        case "reading":
            return reading()
    return resident_mib("VmHWM")


def main() -> None:
    """Answer requests until there are none."""
    side = OurDecoding() if sys.argv[1] == "ours" else TheirDecoding()
    for line in sys.stdin:
        print(json.dumps(handle(side, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
