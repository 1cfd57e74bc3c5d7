"""Which files of a folder are its weights, and what a folder is that holds none.

A set is `model.safetensors`, an index with the shards that it names, or shards of one count; older ones are
`pytorch_model.bin` in the same forms. Two sets of one kind are two models, of which nobody knows which is
meant; of two kinds, safetensors are taken with a note.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

SINGLE, SINGLE_BIN = "model.safetensors", "pytorch_model.bin"
INDEX, INDEX_BIN = f"{SINGLE}.index.json", f"{SINGLE_BIN}.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")

KINDS = (
    (("adapter_model.*",), "is an adapter without its adapter_config.json", "fetch that, too"),
    (
        ("zero_to_fp32.py", "*_optim_states.pt", "*_model_states.pt", "global_step*"),
        "is a training state of DeepSpeed",
        "write the whole weights with the zero_to_fp32.py that lies in it (--safe_serialization)",
    ),
    (
        ("*.distcp", "pytorch_model_fsdp_*", "__0_*.pt"),
        "is a distributed checkpoint of torch (FSDP)",
        "write whole weights with `accelerate merge-weights`, or from the state dict that its trainer loads",
    ),
    (("consolidated*",), "holds consolidated weights of another format", "fetch the files for transformers"),
    (("*.gguf",), "holds a GGUF file, quantised for llama.cpp", "fetch the checkpoint that it was made from"),
    (
        ("*.qweight*", "quantize_config.json", "quant_config.json"),
        "is quantised to few bits (AWQ, GPTQ)",
        "fetch the checkpoint that it was made from; int8 is made while loading",
    ),
    (("part.json",), "is a part of a model, saved alone", "give it to a training run, or open a whole model"),
    (
        ("telemetry.jsonl",),
        "is the folder of a training run",
        "open the checkpoint in it that the run wrote at its end, or go on with `tessera train --out`",
    ),
    (
        ("trainer_state.json", "optimizer*.pt", "optimizer.bin", "scheduler.pt", "rng_state*.pth"),
        "is a training state without weights",
        "open the folder that the trainer saved its model to",
    ),
    (
        ("*embed*.safetensors", "*embed*.bin", "*embed*.pt"),
        "holds embeddings alone",
        "open the whole model that they belong to",
    ),
    (("model_index.json",), "is a pipeline of diffusers", "open an InternVL chat model"),
    (
        ("*.onnx", "*.engine", "*.msgpack", "*.h5", "*.mlmodel", "*.tflite"),
        "holds weights of another library",
        "fetch the checkpoint as safetensors",
    ),
)
"""Names of files, what a folder with them is, and what to do; the first that fits decides."""


@dataclass(frozen=True)
class WeightSet:
    """Files that make one model. `table`: key -> file name, empty where only the files know their keys."""

    names: frozenset[str]
    index: str = ""
    table: tuple[tuple[str, str], ...] = ()

    def told(self, folder: Path) -> str:
        """Names, size and time, for messages."""
        there = [stat for name in self.names if (stat := _stat(folder / name))]
        first = min(self.names)
        what = first if len(self.names) == 1 else f"{first} and {len(self.names) - 1} more"
        if self.index:
            what += f", as {self.index} says"
        if not there:
            return f"{what} (not there)"
        newest = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(changed for _, changed in there)))
        return f"{what} ({sum(size for size, _ in there) / 1e6:,.1f} MB, {newest})"


def find_weights(folder: Path) -> tuple[WeightSet, tuple[str, ...]]:
    """The weights of a folder, and a note for what is passed over.

    Raises ValueError naming every set where there are two, and what the folder is where there are none.
    """
    if not folder.is_dir():
        raise ValueError(
            f"checkpoint folder {shown(folder)} does not exist; give the folder that holds config and weights"
        )
    tensors, pickles = (
        _sets(folder, index, single) for index, single in ((INDEX, SINGLE), (INDEX_BIN, SINGLE_BIN))
    )
    sets = tensors or pickles
    if len(sets) > 1:
        listed = "; ".join(found.told(folder) for found in sets)
        raise ValueError(
            f"{shown(folder)} holds two sets of weights: {listed}. Remove those that are not meant"
        )
    if not sets or not (
        sets[0].index or len(sets[0].names) == 1 and min(sets[0].names) in (SINGLE, SINGLE_BIN)
    ):
        raise ValueError(_what_is_missing(folder, sets))
    passed = [found.told(folder) for found in (pickles if tensors else ())]
    stem, _, ending = (SINGLE if tensors else SINGLE_BIN).partition(".")
    passed += sorted({path.name for path in folder.glob(f"{stem}*.{ending}")} - sets[0].names)
    if any(folder.glob("adapter_model.*")):
        passed.append("the adapter beside them (open with adapter= to merge it)")
    taken = sets[0].told(folder)
    return sets[0], tuple(f"{shown(folder)}: {taken} is taken, {told} passed over" for told in passed)


def holds_weights(folder: Path) -> bool:
    """Whether there is a file of weights or an index of them."""
    return any((folder / name).is_file() for name in (INDEX, SINGLE, INDEX_BIN, SINGLE_BIN))


def what_it_is(folder: Path) -> str | None:
    """What a folder that is no checkpoint is, and what to do; None when nothing tells it."""
    if (folder / ADAPTER_CONFIG).is_file():
        said = Section.of(folder / ADAPTER_CONFIG).without_nulls()
        base = shown(said.text("base_model_name_or_path", "another model"), bare=True)
        return (
            f"{shown(folder)} is a LoRA adapter for {base}: open that with adapter=, --adapter, or write one "
            "model with tessera convert --adapter"
        )
    for patterns, what, remedy in KINDS:
        if found := next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None):
            return f"{shown(folder)} {what} ({shown(found.name, bare=True)}): {remedy}"
    inner = (
        path.parent for name in ("config.json", "tessera.json") for path in sorted(folder.glob(f"*/{name}"))
    )
    if found := next(inner, None):
        return f"{shown(folder)} is no checkpoint, but {shown(found)} looks like one: give that folder"
    return None


def _sets(folder: Path, index: str, single: str) -> list[WeightSet]:
    """Every set of one kind: that of the index first."""
    stem, _, ending = single.partition(".")
    sets: list[WeightSet] = []
    if (folder / index).is_file():
        table = read_index(folder / index)
        sets.append(WeightSet(frozenset(table.values()), index, tuple(table.items())))
    named = sets[0].names if sets else frozenset()
    if (folder / single).is_file() and single not in named:
        sets.append(WeightSet(frozenset((single,))))
    counted: dict[str, set[str]] = defaultdict(set)
    for path in folder.glob(f"{stem}-*-of-*.{ending}"):
        if (found := re.fullmatch(rf"{stem}-\d+-of-(\d+)\.{ending}", path.name)) and path.name not in named:
            counted[found[1]].add(path.name)
    return sets + [WeightSet(frozenset(names)) for _, names in sorted(counted.items())]


def read_index(path: Path) -> dict[str, str]:
    """Key -> file name. Only names in the folder itself: an index may come from anybody."""
    ending = Path(path.name.removesuffix(".index.json")).suffix
    try:
        table = Section.of(path).section("weight_map")
    except ValueError as error:
        raise ValueError(f"{shown(path)} is no shard index ({error})") from error
    if not table.content:
        raise ValueError(f"{shown(path)}: weight_map is empty or no table: fetch the index again")
    for key, name in table.content.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(ending) or "\0" in name:
            raise ValueError(
                f"{shown(path)}: {shown(key)} points to {shown(name)}, which is no {ending[1:]} file in this "
                "folder"
            )
    return table.content


def _what_is_missing(folder: Path, sets: Iterable[WeightSet]) -> str:
    """What to say of a folder whose weights cannot be read."""
    for found in sets:
        name = min(found.names)
        ways = (SINGLE, INDEX) if name.endswith(".safetensors") else (SINGLE_BIN, INDEX_BIN)
        return f"{shown(folder)} holds {name} but neither {' nor '.join(ways)}: fetch the index too"
    if told := what_it_is(folder):
        return told
    others = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt")
    if loose := sorted(path.name for pattern in others for path in folder.glob(pattern)):
        return (
            f"{shown(folder)} holds {shown(loose[0], bare=True)} but neither {SINGLE} nor {INDEX}: fetch the "
            "whole checkpoint again, best as safetensors"
        )
    return f"{shown(folder)} holds no {SINGLE}: give the folder of a checkpoint"


def _stat(path: Path) -> tuple[int, float] | None:
    """Bytes and time of change, None when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime
