"""A folder with a LoRA adapter alone, as PEFT saves it, merged into its base model while that is read.

The adapter's names are those of the code that trained it: any published layout, or the decoder or the ViT
alone, whatever the base's own layout. A wrapped linear has `….lora_A.weight` [r, in] and `….lora_B.weight`
[out, r]; what else stands in the file (`modules_to_save`, biases) takes the place of the base's tensor.
Formulas: PEFT's `LoraConfig`; `alpha / r`, with rsLoRA `alpha / sqrt(r)`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tessera.checkpoints.added import EMBEDDING, HEAD
from tessera.checkpoints.files.folder import ADAPTER_CONFIG, ADAPTER_FILES, holds_weights
from tessera.checkpoints.files.shards import TensorSource
from tessera.checkpoints.files.weight_files import open_file
from tessera.checkpoints.hub import cached_snapshot, find_checkpoint, hub_name, lacking
from tessera.checkpoints.surgery import part_forms
from tessera.checkpoints.weights import is_finite, stored_keys
from tessera.families.keymap import Group
from tessera.models.vlm import VLM
from tessera.runtime.json_file import Section
from tessera.runtime.shown import counted, shown

WRAPPER = "base_model.model."
FACTOR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.[\w-]+)?(?:\.weight)?")
"""`module.lora_A.weight`, with or without the adapter's name, or `module.lora_embedding_A`."""
REFUSED = {
    "use_dora": "DoRA also scales the columns of the base",
    "lora_bias": "biases inside LoRA are not merged",
    "fan_in_fan_out": "it is for layers of another library, whose weights lie on their side",
    "layer_replication": "it repeats layers of the base",
    "alora_invocation_tokens": "an activated LoRA works behind some tokens alone",
    "use_qalora": "QA-LoRA sums its inputs in groups",
    "trainable_token_indices": "rows of single tokens are not merged",
    "target_parameters": "it changes parameters that are no linear layers",
}
"""Settings of PEFT under which the sum of base and factors is another."""
CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")
"""Beginnings of `init_lora_weights` with which training starts from another base than the one named."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / ADAPTER_CONFIG).is_file() and not holds_weights(folder)


def find_with_adapter(
    name_or_folder: str | Path, adapter: str | Path | None = None
) -> tuple[Path, Path | None]:
    """Folders of a model and of the adapter to be merged into it, None without.

    An adapter in the place of the model opens with the base that it names, where that is a folder or
    complete in the local hub cache. Raises ValueError saying what to give.
    """
    given = find_checkpoint(name_or_folder)
    if adapter is not None:
        folder = _here(str(adapter))
        if folder is None or not (folder / ADAPTER_CONFIG).is_file():
            raise ValueError(f"adapter = {shown(adapter)}: no folder with {ADAPTER_CONFIG}, as PEFT saves it")
        if is_adapter(given):
            raise ValueError(f"{shown(given)} is an adapter, too: give the base model and one adapter")
        return given, folder
    if not is_adapter(given):
        return given, None
    base = name_of_base(given)
    found = _here(base)
    if found is None or is_adapter(found):
        named = shown(base) if base else "a model that it does not name"
        raise ValueError(
            f"{shown(given)} is a LoRA adapter for {named}: no such folder is here and no complete copy in "
            "the hub's cache; give the base model, and this folder as adapter=, --adapter"
        )
    return found, given


def name_of_base(adapter: Path) -> str:
    """The model that an adapter's config names, empty when it names none."""
    return Section.of(adapter / ADAPTER_CONFIG).without_nulls().text("base_model_name_or_path", "")


def replaces_weights(adapter: Path) -> bool:
    """Whether an adapter brings more than factors."""
    name = next(name for name in ADAPTER_FILES if (adapter / name).is_file())
    return any(".lora_A" not in key and ".lora_B" not in key for key in open_file(adapter / name).keys)


def _here(name: str) -> Path | None:
    """A folder, or the complete copy of a repository in the hub's cache; None when it is not here."""
    try:
        if not name or Path(name).expanduser().is_dir():
            return Path(name).expanduser() if name else None
        found = cached_snapshot(hub_name(name))
    except (ValueError, OSError):
        return None
    return None if found is None or lacking(found) else found


@dataclass(frozen=True)
class _Change:
    """What happens to the stored tensor `key` of a group: `up @ down` is added, or `other` replaces it."""

    group: Group
    key: str
    scale: float = 0.0
    up: str = ""
    down: str = ""
    embedding: bool = False
    other: str = ""

    @property
    def is_pair(self) -> bool:
        """Whether it is a linear's factors."""
        return bool(self.up) and not self.embedding


class Adapter(TensorSource):
    """An adapter for a model on the meta device: every key is explained, every shape fits, before reading.

    Raises ValueError naming file, key and remedy.
    """

    def __init__(self, folder: Path, model: VLM) -> None:
        self.folder = folder
        name = next((name for name in ADAPTER_FILES if (folder / name).is_file()), None)
        if name is None:
            raise ValueError(
                f"{shown(folder)} holds {ADAPTER_CONFIG} but neither {' nor '.join(ADAPTER_FILES)}"
            )
        self._file = open_file(folder / name)
        self.files = dict.fromkeys(sorted(self._file.keys), name)
        self._config = Section.of(folder / ADAPTER_CONFIG).without_nulls()
        _refuse(self._config)
        self.base = shown(self._config.text("base_model_name_or_path", ""), bare=True)
        self._shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        self._is_tied = HEAD not in self._shapes
        self._shapes.setdefault(HEAD, self._shapes[EMBEDDING])
        factors, others = self._sort()
        stored = [f"{module}.weight" for module in factors] + list(others)
        groups = self._explain(model, stored)
        self._changes: dict[str, list[_Change]] = defaultdict(list)
        # First what is replaced: PEFT may save the embeddings whole, and factors beside them.
        for clean, key in others.items():
            self._add(self._replacement(groups[clean], clean, key))
        for module, sides in factors.items():
            self._add(self._pair(groups[f"{module}.weight"], module, sides))
        self._require_one_head()
        self.note = (
            f"{shown(folder)}: a LoRA adapter{f' for {self.base}' if self.base else ''} was merged into "
            f"{counted(len(factors), 'tensor')}"
            + (f" and replaced {counted(len(others), 'tensor')}" if others else "")
        )

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor of the file."""
        return self._file.shape(key)

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor of the file; ValueError when it is not finite."""
        found = self._file.tensor(key)
        if not found.is_floating_point() or not is_finite(found):
            raise ValueError(f"{self.place(key)}: {shown(key)} holds what is no finite number: save it again")
        return found

    def merged(
        self, tensors: Iterable[tuple[str, torch.Tensor]], apart: bool = False
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Own names and tensors of the base, the adapter merged in: summed in float32 and rounded once.

        `apart`: but for the factors of linears, which `pairs` gives.
        """
        for name, tensor in tensors:
            for change in self._changes.get(name, ()):
                if not (apart and change.is_pair):
                    tensor = self._changed(name, tensor, change)
            yield name, tensor

    def pairs(self, name: str) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, float]]:
        """First row, B [rows, r], A [r, in] and scale of all that is added to a linear's weight.

        Where several linears lie in one matrix, each gets those columns of B alone that are not zero for it.
        """
        for change in self._changes.get(name, ()):
            if change.is_pair:
                group = change.group
                up, down = self._cut(group, name, self.tensor(change.up)), self.tensor(change.down)
                used = up.any(0) if len(group.own) > 1 else torch.ones(len(down), dtype=torch.bool)
                if used.any():
                    start = group.stored.index(change.key) * self._shapes[name][0] // len(group.stored)
                    yield start, up[:, used], down[used], change.scale

    def _changed(self, name: str, tensor: torch.Tensor, change: _Change) -> torch.Tensor:
        result = tensor.clone()
        group = change.group
        share = len(tensor) // len(group.stored)
        start = group.stored.index(change.key) * share
        rows = result[start : start + share]  # all of them unless several stored tensors lie in this one
        if change.other:
            rows.copy_(self._cut(group, name, self.tensor(change.other)))
            return result
        up, down = (self.tensor(key).to(torch.float32) for key in (change.up, change.down))
        if change.embedding:
            up, down = down.T, up.T
        wide = torch.addmm(rows.to(torch.float32), self._cut(group, name, up), down, alpha=change.scale)
        rows.copy_(wide)
        return result

    def _cut(self, group: Group, name: str, stored: torch.Tensor) -> torch.Tensor:
        """The rows of a stored tensor that belong to an own one."""
        if len(group.stored) > 1:
            return stored
        return group.to_own([stored], [self._shapes[own] for own in group.own])[group.own.index(name)]

    def _sort(self) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """Module -> side -> key of the factors, and name in the base -> key of all other tensors."""
        factors: dict[str, dict[str, str]] = defaultdict(dict)
        others: dict[str, str] = {}
        for key in self.files:
            name = key.removeprefix(WRAPPER)
            if found := FACTOR.fullmatch(name):
                side = f"{found[2] or ''}{found[3]}"
                if side in factors[found[1]]:
                    raise ValueError(f"{self.place(key)}: {shown(key)} is a second adapter: save one alone")
                factors[found[1]][side] = key
            elif ".lora_" in name or "trainable_tokens" in name:
                raise ValueError(
                    f"{self.place(key)}: {shown(key)} is no plain LoRA: merge it with the peft that made it"
                )
            # PEFT keeps the biases of a module beside the copy that replaces it.
            elif ".original_module." not in name:
                clean = re.sub(r"\.modules_to_save(\.\w+)?\.|\.base_layer\.", ".", name, count=1)
                others[clean] = key
        if not factors and not others:
            raise ValueError(f"{shown(self.folder)}: the adapter holds no tensor: save it again")
        return factors, others

    def _explain(self, model: VLM, stored: list[str]) -> Mapping[str, Group]:
        """The group of every stored name: for each part by the table that explains most of them."""
        wanted: dict[str, Group] = {}
        for part, module in model.named_children():
            own = [name for name in self._shapes if name.startswith(f"{part}.")]
            tables = [table for keys in ((), ("vision_tower.",)) for table in part_forms(part, module, keys)]
            forms = [stored_keys(own, table) for table in tables]
            best: dict[str, Group] = max(forms, key=lambda form: sum(name in form for name in stored))
            wanted |= best
        if missing := [name for name in stored if name not in wanted]:
            raise ValueError(
                f"{shown(self.folder)}: {shown(missing[0])} of the adapter is no weight of this model"
                f"{f'; it was made for {self.base}' if self.base else ''}: give its own base model"
            )
        return wanted

    def _pair(self, group: Group, module: str, sides: dict[str, str]) -> _Change:
        key, embedding = f"{module}.weight", "embedding_A" in sides
        up, down = (sides.get(f"embedding_{side}" if embedding else side) for side in "BA")
        some = next(iter(sides.values()))
        if up is None or down is None or len(sides) != 2:
            raise ValueError(
                f"{self.place(some)}: {shown(some)} stands without the other factor: save it again"
            )
        outer, inner = self.shape(up), self.shape(down)
        rank = inner[0] if inner else 0
        made = (*inner[1:], *outer[:1]) if embedding else (*outer[:1], *inner[1:])
        if len(outer) != 2 or len(inner) != 2 or outer[1] != rank or not rank:
            raise ValueError(
                f"{self.place(some)}: factors {outer} and {inner} of {shown(module)} make no matrix"
            )
        self._fit(group, key, some, made)
        return _Change(group, key, self._scale(module, rank), up, down, embedding)

    def _require_one_head(self) -> None:
        """A head that is tied to the embedding comes with an adapter only as the same matrix."""
        head = self._changes.get(HEAD, []) if self._is_tied else []
        for change in head:
            rows = [other for other in self._changes.get(EMBEDDING, []) if other.other]
            if change.is_pair or not rows or not self.tensor(change.other).equal(self.tensor(rows[0].other)):
                raise ValueError(
                    f"{shown(self.folder)}: {shown(change.key)} of the adapter differs from the embedding, "
                    "but the base has one matrix for both: merge it with PEFT, untied"
                )

    def _replacement(self, group: Group, clean: str, key: str) -> _Change:
        self._fit(group, clean, key, self.shape(key))
        return _Change(group, clean, other=key)

    def _fit(self, group: Group, stored: str, key: str, found: tuple[int, ...]) -> None:
        shapes = group.stored_shapes([self._shapes[own] for own in group.own])
        if (wanted := shapes[group.stored.index(stored)]) != found:
            raise ValueError(
                f"{self.place(key)}: the adapter changes {shown(stored)} of shape {found} but the base has "
                f"{wanted}: give the base that it was trained on{f' ({self.base})' if self.base else ''}; "
                "new tokens are to be added to the base first"
            )

    def _scale(self, module: str, rank: int) -> float:
        """alpha / r, by the patterns where one names the module."""
        config = self._config
        ranks, alphas = config.part("rank_pattern"), config.part("alpha_pattern")
        expected = _by_name(ranks, module, config.whole("r", 8))
        if expected != rank:
            raise ValueError(
                f"{config.place('r')}: {shown(module)} has rank {expected:g} by it but its factors have "
                f"{rank}: config and weights belong to different adapters"
            )
        alpha = _by_name(alphas, module, config.number("lora_alpha", 8))
        return alpha / (math.sqrt(rank) if config.flag("use_rslora") else rank)

    def _add(self, change: _Change) -> None:
        for own in change.group.own:
            self._changes[own].append(change)


def _refuse(config: Section) -> None:
    """Adapters that are no plain LoRA."""
    if (kind := config.text("peft_type", "LORA")) != "LORA":
        raise config.wrong("peft_type", f"only LORA is merged, not {shown(kind)}; merge it with PEFT")
    for key, why in REFUSED.items():
        if config.content.get(key):
            raise config.wrong(key, f"{why}; merge it with PEFT and open the result")
    start = config.content.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_THE_BASE):
        raise config.wrong(
            "init_lora_weights", "the base was changed, too; save it as a plain LoRA with PEFT"
        )


def _by_name(patterns: Section, module: str, default: float) -> float:
    """The number of the first name of a module or of its end; PEFT takes regular expressions, too."""
    for name in patterns:
        plain = name.removeprefix("^").removesuffix("$").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", plain):
            raise patterns.wrong(
                name, "names of modules are read here, no other patterns; merge it with PEFT"
            )
        if module == plain or (not name.startswith("^") and module.endswith(f".{plain}")):
            return patterns.number(name)
    return default
