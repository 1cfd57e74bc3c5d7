"""llama.cpp's side of `decode.py`: files of random weights in its own form, and its programs run on them.

Everything is a difference of two runs, one longer than the other, so that starting, reading the file and
warming up fall out, by the wall's clock and by the processor's alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

QUANTISED = {"bf16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}
DRAWN = 2**22 + 1


class Llama:
    """A folder with llama.cpp's sources, built in `build`, and one for the files."""

    def __init__(self, sources: Path, root: Path, threads: int, clock: str) -> None:
        self._programs, self._root = sources / "build" / "bin", root
        self._threads, self._clock = str(threads), clock
        sys.path.insert(0, str(sources / "gguf-py"))

    def write(self, config: Any) -> None:
        """Files of every kind of weight for a model config, random."""
        write_language(self._file("bf16"), config.decoder)
        write_vision(self._root / "vision.gguf", config)
        for kind, name in QUANTISED.items():
            if kind != "bf16":
                self._run("llama-quantize", self._file("bf16"), self._file(kind), name, self._threads)
        PIL.Image.effect_noise((config.vision.image_size,) * 2, 90).convert("RGB").save(self._picture)

    def decode(self, kind: str, batch: int, tokens: int) -> float:
        """Tokens a second of all rows."""

        def run(more: int) -> float:
            words = ("-npp", 64, "-ntg", more, "-npl", batch, "-c", batch * (80 + 2 * tokens), "-fa", "on")
            return self._run("llama-batched-bench", "-m", self._file(kind), *words)

        return batch * tokens / (run(8 + tokens) - run(8))

    def prefill(self, kind: str, tokens: int) -> float:
        """Tokens a second."""

        def run(times: int) -> float:
            return self._run(
                *("llama-bench", "-m", self._file(kind), "-p", str(tokens), "-n", "0"),
                *("-r", str(times), "-fa", "1", "--no-warmup"),
            )

        return 2 * tokens / (run(3) - run(1))

    def see(self, kind: str) -> float:
        """Tiles a second, bfloat16 in every kind."""

        def run(times: int) -> float:
            pictures = ",".join([str(self._picture)] * times)
            words = ("--mmproj", self._root / "vision.gguf", "--image", pictures, "-p", "What?", "-n", "1")
            return self._run("llama-mtmd-cli", "-m", self._file(kind), *words, "-c", "4096")

        return 2 / (run(3) - run(1))

    def memory(self, kind: str) -> float:
        """Peak MiB of a short answer, language model alone."""
        words = (
            "-m",
            self._file(kind),
            "-p",
            "64",
            "-n",
            "4",
            "-r",
            "1",
            "-b",
            "64",
            "-ub",
            "64",
            "-t",
            self._threads,
        )
        command = [str(self._programs / "llama-bench"), *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most = 0.0
        while process.poll() is None:  # the system's own count begins with the peak of this process
            most = max(most, _peak_mib(process.pid))
            time.sleep(0.02)
        return most

    @property
    def _picture(self) -> Path:
        return self._root / "noise.png"

    def _file(self, kind: str) -> Path:
        return self._root / f"language-{kind}.gguf"

    def _run(self, program: str, *words: object) -> float:
        """Seconds of one run, by the clock that was chosen."""
        command = [str(self._programs / program), *map(str, words)]
        if program != "llama-quantize":
            command += ["-t", self._threads]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} ended with {status}")
        return used.ru_utime + used.ru_stime if self._clock == "processor" else time.perf_counter() - start


def _peak_mib(pid: int) -> float:
    """VmHWM of a process; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


class _File:
    """A file being written: norms are ones, biases and matrices random, matrices bfloat16."""

    def __init__(self, path: Path, kind: str) -> None:
        import gguf

        self.out, self._gguf = gguf.GGUFWriter(path, kind), gguf
        self._drawn = np.random.default_rng(0).standard_normal(DRAWN, dtype=np.float32) * 0.02

    def matrix(self, name: str, *shape: int) -> None:
        """bfloat16."""
        half = self._gguf.GGMLQuantizationType.BF16
        self.out.add_tensor(name, self._gguf.quants.quantize(self._values(shape), half), raw_dtype=half)

    def vector(self, name: str, *shape: int, ones: bool = False) -> None:
        """float32."""
        self.out.add_tensor(name, np.ones(shape, np.float32) if ones else self._values(shape))

    def linear(self, name: str, outs: int, inner: int, bias: bool) -> None:
        """A matrix and perhaps its bias."""
        self.matrix(f"{name}.weight", outs, inner)
        if bias:
            self.vector(f"{name}.bias", outs)

    def close(self) -> None:
        """On the disk."""
        self.out.write_header_to_file()
        self.out.write_kv_data_to_file()
        self.out.write_tensors_to_file()
        self.out.close()

    def _values(self, shape: Sequence[int]) -> np.ndarray:
        return np.resize(self._drawn, shape)


def write_language(path: Path, config: Any) -> None:
    """A Qwen2 decoder whose head is a matrix of its own."""
    file, width, vocabulary = _File(path, "qwen2"), config.hidden_size, config.vocab_size
    out, groups = file.out, config.num_key_value_heads * config.head_width
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(32768)
    out.add_embedding_length(width)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_rope_freq_base(config.rope_theta)
    out.add_vocab_size(vocabulary)
    _add_tokens(out, vocabulary)
    file.matrix("token_embd.weight", vocabulary, width)
    file.matrix("output.weight", vocabulary, width)
    file.vector("output_norm.weight", width, ones=True)
    for block in (f"blk.{number}." for number in range(config.num_hidden_layers)):
        for name in ("attn_norm", "ffn_norm"):
            file.vector(f"{block}{name}.weight", width, ones=True)
        for name, outs in (("q", width), ("k", groups), ("v", groups)):
            file.linear(f"{block}attn_{name}", outs, width, bias=True)
        file.linear(f"{block}attn_output", width, width, bias=False)
        for name in ("ffn_gate", "ffn_up"):
            file.linear(f"{block}{name}", config.intermediate_size, width, bias=False)
        file.linear(f"{block}ffn_down", width, config.intermediate_size, bias=False)
    file.close()


def _add_tokens(out: Any, vocabulary: int) -> None:
    """A vocabulary of bytes and made-up words."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(rest))]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]
    words = [f"w{number}x" for number in range(vocabulary - len(letters) - 2 - len(special))]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("qwen2")
    out.add_token_list([*letters, "Ġt", "Ġa", *words, *special])
    out.add_token_types([1] * (vocabulary - len(special)) + [3] * len(special))
    out.add_token_merges(["Ġ t", "Ġ a"])
    out.add_eos_token_id(vocabulary - len(special) + 2)
    out.add_bos_token_id(vocabulary - len(special))
    out.add_pad_token_id(vocabulary - len(special))
    out.add_add_bos_token(False)
    out.add_chat_template("{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>\n{% endfor %}")


def write_vision(path: Path, config: Any) -> None:
    """InternViT and the connector."""
    file, vision, into = _File(path, "clip"), config.vision, config.decoder.hidden_size
    out, width, inner, patch = file.out, vision.hidden_size, vision.intermediate_size, vision.patch_size
    out.add_string("general.type", "mmproj")
    out.add_bool("clip.has_vision_encoder", True)
    out.add_bool("clip.use_gelu", True)
    out.add_string("clip.projector_type", "internvl")
    numbers = {"image_size": vision.image_size, "patch_size": patch, "embedding_length": width}
    numbers |= {"feed_forward_length": inner, "block_count": vision.num_hidden_layers, "projection_dim": into}
    numbers |= {"attention.head_count": vision.num_attention_heads, "projector.scale_factor": 2}
    numbers |= {"preproc_min_tiles": 1, "preproc_max_tiles": 1}
    for name, value in numbers.items():
        out.add_uint32(f"clip.vision.{name}", value)
    out.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    out.add_array("clip.vision.image_mean", [0.485, 0.456, 0.406])
    out.add_array("clip.vision.image_std", [0.229, 0.224, 0.225])
    file.vector("v.class_embd", width)
    file.vector("v.position_embd.weight", vision.grid**2 + 1, width)
    file.vector("v.patch_embd.weight", width, 3, patch, patch)
    file.vector("v.patch_embd.bias", width)
    for block in (f"v.blk.{number}." for number in range(vision.num_hidden_layers)):
        for name in ("q", "k", "v", "out"):
            file.linear(f"{block}attn_{name}", width, width, bias=True)
        file.linear(f"{block}ffn_up", inner, width, bias=True)
        file.linear(f"{block}ffn_down", width, inner, bias=True)
        for name in ("ln1", "ln2"):
            file.vector(f"{block}{name}.weight", width, ones=True)
            file.vector(f"{block}{name}.bias", width)
        for name in ("ls1", "ls2"):
            file.vector(f"{block}{name}.weight", width)
    file.vector("mm.model.mlp.0.weight", 4 * width, ones=True)
    file.vector("mm.model.mlp.0.bias", 4 * width)
    file.linear("mm.model.mlp.1", into, 4 * width, bias=True)
    file.linear("mm.model.mlp.3", into, into, bias=True)
    file.close()
