"""One side of `inference.py`, in a process of its own: opens a folder, answers prompts, reports times.

    python inference_sides.py ours|theirs wall|processor

Reads one JSON request a line, answers each with one JSON line. `load`: folder, dtype, linears (ours);
`answer`: a prompt file and a number of tokens; `logits`: scores behind a prompt, into a file; `memory`.
"""

from __future__ import annotations

import sys
import time

now = time.process_time if sys.argv[-1] == "processor" else time.perf_counter
STARTED = now()

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class Clock:
    """Seconds at which things happened."""

    def __init__(self) -> None:
        self.stamps: list[float] = []
        self.seeing = 0.0

    def stamp(self) -> None:
        """Now."""
        self.stamps.append(now())

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time added to `seeing`; generate reads the signature."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            start = now()
            result = function(*args, **kwargs)
            self.seeing += now() - start
            return result

        return call


class Ours:
    """Tessera: `load_checkpoint` as `tessera.load` calls it on a CPU, and the engine."""

    def __init__(self) -> None:
        from tessera.checkpoints.load import load_checkpoint
        from tessera.engine.engine import Engine
        from tessera.nn.linear import inference_head

        self._load, self._engine, self._head = load_checkpoint, Engine, inference_head

    def load(self, folder: str, dtype: str, linears: str) -> None:
        """Open a folder."""
        self.loaded = self._load(folder, dtype=DTYPES[dtype], linears=linears)
        self.model = self.loaded.model
        decoder = self.model.decoder
        decoder.add_module("lm_head", self._head(decoder.lm_head, few_bits=linears != "packed"))
        self._see, self._logits = self.model.see, self.model.logits

    def answer(self, prompt: Mapping[str, np.ndarray], tokens: int, clock: Clock) -> list[int]:
        """Greedy; the clock is stamped with every step's scores."""
        from tessera.chat.encoder import Encoded
        from tessera.engine.sampling.options import Sampling

        def stamped(hidden: torch.Tensor) -> torch.Tensor:
            scores = self._logits(hidden)
            clock.stamp()
            return scores

        self.model.see, self.model.logits = clock.timed(self._see), stamped
        engine = self._engine(self.model, self.loaded.tokenizer, frozenset())
        weights = np.zeros(len(prompt["ids"]), dtype=np.float32)
        encoded = Encoded(prompt["ids"], weights, prompt["tiles"], (len(prompt["tiles"]),))
        return list(engine.generate([encoded], Sampling(max_new_tokens=tokens))[0].ids)

    @torch.inference_mode()
    def logits(self, prompt: Mapping[str, np.ndarray]) -> torch.Tensor:
        """Scores float [V] behind a prompt."""
        from tessera.nn.attention.layout import Packed

        ids = torch.from_numpy(prompt["ids"])
        rows = torch.tensor([len(ids) - 1])
        hidden = self.model(ids, Packed((len(ids),)), tiles=torch.from_numpy(prompt["tiles"]), rows=rows)
        return self.model.logits(hidden)[0]


class Theirs:
    """transformers' InternVLForConditionalGeneration and its `generate`."""

    def __init__(self) -> None:
        import transformers
        from transformers import InternVLForConditionalGeneration

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._class = InternVLForConditionalGeneration

    def load(self, folder: str, dtype: str, linears: str) -> None:
        """Open a folder; `linears` has no meaning here."""
        self.model = self._class.from_pretrained(folder, dtype=DTYPES[dtype]).eval()
        self.model.generation_config.eos_token_id = None
        self._see = self.model.model.get_image_features
        self.vocabulary = json.loads(Path(folder, "benchmark.json").read_text())["vocabulary"]

    def _inputs(self, prompt: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(prompt["ids"])[None]
        pixels = torch.from_numpy(prompt["pixels"]).to(self.model.dtype)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}

    @torch.inference_mode()
    def answer(self, prompt: Mapping[str, np.ndarray], tokens: int, clock: Clock) -> list[int]:
        """Greedy; the clock is stamped with every new token."""
        inputs = self._inputs(prompt)
        self.model.model.get_image_features = clock.timed(self._see)
        out = self.model.generate(
            **inputs,
            do_sample=False,
            pad_token_id=0,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            streamer=Streamer(clock),
            suppress_tokens=self._no_tokens(),
        )
        return out[0, inputs["input_ids"].shape[1] :].tolist()

    def _no_tokens(self) -> list[int] | None:
        """Rows of the head that no token of the tokenizer has, and the picture's; ours never says them."""
        config = self.model.config
        if self.model.dtype != torch.float32:
            return None  # only where answers are compared: it costs them time
        return [config.image_token_id, *range(self.vocabulary, config.text_config.vocab_size)]

    @torch.inference_mode()
    def logits(self, prompt: Mapping[str, np.ndarray]) -> torch.Tensor:
        """Scores float [V] behind a prompt."""
        return self.model(**self._inputs(prompt), logits_to_keep=1).logits[0, 0]


class Streamer:
    """Stamps the clock when `generate` hands on a token; the first call is the prompt."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._prompt = clock, True

    def put(self, value: torch.Tensor) -> None:
        """A token, or the prompt."""
        if not self._prompt:
            self._clock.stamp()
        self._prompt = False

    def end(self) -> None:
        """Nothing to do."""


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {field}: the memory rows need Linux")


def handle(side: Ours | Theirs, request: dict[str, Any]) -> dict[str, Any]:
    """One request."""
    if request["do"] == "memory":
        return {"peak": resident_mib("VmHWM"), "now": resident_mib("VmRSS")}
    if request["do"] == "load":
        start = now()
        side.load(request["folder"], request["dtype"], request["linears"])
        return {"seconds": now() - start}
    prompt = np.load(request["prompt"])  # arrays are read when they are asked for
    if request["do"] == "logits":
        torch.save(side.logits(prompt).float(), request["file"])
        return {}
    clock, start = Clock(), now()
    ids = side.answer(prompt, request["tokens"], clock)
    first, last = clock.stamps[0] - start, clock.stamps[-1] - clock.stamps[0]
    rest = last / (len(clock.stamps) - 1) if len(clock.stamps) > 1 else 0.0
    return {"first": first, "see": clock.seeing, "rest": rest, "ids": ids}


def main() -> None:
    """Answer requests until there are none."""
    side = Ours() if sys.argv[1] == "ours" else Theirs()
    print(json.dumps({"import": now() - STARTED}), flush=True)
    for line in sys.stdin:
        print(json.dumps(handle(side, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
