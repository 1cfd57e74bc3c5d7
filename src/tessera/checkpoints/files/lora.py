"""LoRA checkpoints in the official form, read as if their matrices had been merged (docs/facts/key_names.md).

The official training code saves PEFT's wrapped model whole: weights stand under `base_model.model.`, a
wrapped linear as `….base_layer.weight` with `….lora_A.default.weight` [r, in] and `….lora_B.default.weight`
[out, r] beside it. `alpha` is nowhere in the files: the code always sets it to 2r, r being `use_llm_lora` or
`use_backbone_lora` of config.json.
"""

from collections.abc import Iterable, Mapping

import torch

from tessera.checkpoints.files.shards import TensorSource
from tessera.runtime.json_file import Section

WRAPPER = ".base_model.model."
ALPHA_PER_RANK = 2.0
PLAIN = ("A.default.weight", "B.default.weight", "A.weight", "B.weight")
"""What may stand behind `.lora_`; embeddings, magnitudes (DoRA) and biases may not."""
MARKS = (WRAPPER, ".base_layer.", ".lora_", ".modules_to_save.", ".original_module.")


def is_lora(keys: Iterable[str]) -> bool:
    """Whether any of a checkpoint's keys is one that PEFT's wrapping leaves."""
    return any(mark in key for key in keys for mark in MARKS)


class MergedReader(TensorSource):
    """The checkpoint as if merged: keys of the merged one, each weight merged when it is asked for.

    `config` is its config.json. `rank_keys`: first word of the stored keys of a part -> the config's key with
    its rank; 0 means that the part is not wrapped. Raises ValueError naming file, key and remedy where
    factors are not the plain pairs of the official code, or have another rank.
    """

    def __init__(self, reader: TensorSource, config: Section, rank_keys: Mapping[str, str]) -> None:
        self.folder = reader.folder
        self._reader, self._config, self._rank_keys = reader, config, rank_keys
        factors = [key for key in reader.files if ".lora_" in key]
        self._stored = _clean_names(reader, [key for key in reader.files if ".lora_" not in key])
        self._adapters = self._pair(factors)
        self.files = {clean: reader.files[key] for clean, key in self._stored.items()}

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor; merging does not change it."""
        return self._reader.shape(self._stored[key])

    def tensor(self, key: str) -> torch.Tensor:
        """A merged tensor in the dtype of the file; the sum is formed in float32 (float64 stays float64)."""
        weight = self._reader.tensor(self._stored[key])
        if key not in self._adapters:
            return weight
        # Rounded once, at the end.
        wide = torch.promote_types(weight.dtype, torch.float32)
        up, down = (self._reader.tensor(name).to(wide) for name in self._adapters[key])
        return torch.addmm(weight.to(wide), up, down, alpha=ALPHA_PER_RANK).to(weight.dtype)

    def _pair(self, factors: list[str]) -> dict[str, tuple[str, str]]:
        """Clean weight key -> keys of B and A; every factor belongs to exactly one pair."""
        pairs: dict[str, dict[str, str]] = {}
        for key in factors:
            module, _, tail = key.partition(".lora_")
            sides = pairs.setdefault(module, {})
            if tail not in PLAIN or tail[0] in sides:
                raise ValueError(
                    f"{self._reader.place(key)}: {key!r} is not one of the plain pairs lora_A.default.weight "
                    "and lora_B.default.weight of the official code: merge with the peft that made it"
                )
            sides[tail[0]] = key
        for module, sides in pairs.items():
            self._check(module, sides)
        return {_clean(f"{module}.weight"): (sides["B"], sides["A"]) for module, sides in pairs.items()}

    def _check(self, module: str, sides: dict[str, str]) -> None:
        """Both factors and their weight are there, fit each other, and have the rank that the config says."""
        some = next(iter(sides.values()))
        weight = self._stored.get(_clean(f"{module}.weight"))
        if weight is None or len(sides) != 2:
            lacking = "the weight that it changes" if weight is None else "the other factor"
            raise ValueError(
                f"{self._reader.place(some)}: {some!r} stands without {lacking}: fetch the shards again"
            )
        down, up, base = (self._reader.shape(key) for key in (sides["A"], sides["B"], weight))
        if len(down) != 2 or up != (base[0], down[0]) or base[1:] != down[1:]:
            raise ValueError(
                f"{self._reader.place(some)}: factors {up} and {down} of {module!r} do not make a weight "
                f"{base}: they belong to another model"
            )
        name = self._rank_keys.get(module.partition(".")[0], "(no key)")
        if (rank := self._config.whole(name, 0)) != down[0]:
            raise ValueError(
                f"{self._config.place(name)} = {rank} but the factors of {module!r} have rank "
                f"{down[0]}; alpha is {ALPHA_PER_RANK:g} x the config's rank, so set {name} to the rank used "
                "in training"
            )


def _clean(key: str) -> str:
    """The key that a weight has after merging."""
    return key.replace(WRAPPER, ".", 1).replace(".base_layer.", ".", 1)


def _clean_names(reader: TensorSource, keys: Iterable[str]) -> dict[str, str]:
    """Name after merging -> key in the files."""
    stored: dict[str, str] = {}
    for key in keys:
        clean = _clean(key)
        if clean in stored or ".modules_to_save." in key or ".original_module." in key:
            raise ValueError(
                f"{reader.place(key)}: {key!r} is a second version of a weight, which the official code "
                "never writes: merge with the peft that made it"
            )
        stored[clean] = key
    return stored
