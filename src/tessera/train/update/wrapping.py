"""Which linears carry LoRA factors in a stage: its rules decide, and what was wrapped otherwise is merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from tessera.nn.experts.mixture import Experts
from tessera.nn.lora import LoRAConfig, LoRALinear, added, replace_module
from tessera.nn.quantised import QuantisedLinear
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, decides

Plain = nn.Linear | QuantisedLinear
WITHOUT_FACTORS = (nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def wrap(model: nn.Module, rules: Sequence[Rule], seed: int, masters: Masters) -> None:
    """Wrap, keep, merge or leave every linear, in place, as the rules say; doing it twice changes nothing.

    Factors of the same rank and scale stay, others are merged into their base first. New ones are drawn from
    `seed`, the recipe's, and their name. ValueError for factors that a quantised base would have to take.
    """
    for path, module in list(_linears(model)):
        index = decides(rules, f"{path}.weight")
        config = None if index is None else rules[index].lora
        if isinstance(module, LoRALinear):
            if config is not None and config.has_shape_of(module.config):
                module.config = config
                continue
            module = _merged(path, module, masters)
            replace_module(model, path, module)
        if config is not None:
            replace_module(model, path, LoRALinear(module, config, derive_seed("lora", seed, path)))


def wrapping_of(model: nn.Module, rules: Sequence[Rule]) -> dict[str, LoRAConfig]:
    """Path and settings of every linear that has factors in a stage of these rules."""
    found = {path: decides(rules, f"{path}.weight") for path, _ in _linears(model)}
    given = {path: None if index is None else rules[index].lora for path, index in found.items()}
    return {path: config for path, config in given.items() if config is not None}


def go_on(before: Mapping[str, LoRAConfig], after: Mapping[str, LoRAConfig]) -> bool:
    """Whether the next wrapping keeps all factors of the one before, so that nothing is merged."""
    return all(path in after and after[path].has_shape_of(config) for path, config in before.items())


def _merged(path: str, module: LoRALinear, masters: Masters) -> Plain:
    """The base with the exact values of the factors added to its own."""
    weight = masters.value(f"{path}.weight", module.weight)
    up, down = (masters.pop(f"{path}.{name}", getattr(module, name)) for name in ("lora_B", "lora_A"))
    masters.load(f"{path}.weight", module.weight, added(weight, up, down, module.scale))
    return module.base


def _linears(model: nn.Module) -> Iterator[tuple[str, Plain | LoRALinear]]:
    """Path and module of every linear, wrapped ones as a whole."""
    inner = {id(module.base) for module in model.modules() if isinstance(module, LoRALinear)}
    for path, module in model.named_modules():
        if isinstance(module, Plain | LoRALinear) and id(module) not in inner:
            yield path, module


def require_linears(model: nn.Module, rules: Sequence[Rule]) -> None:
    """ValueError for a rule whose `lora` meets an embedding, a convolution or a tied head, or no linear."""
    found = set()
    stacks = {
        id(part) for module in model.modules() if isinstance(module, Experts) for part in module.children()
    }
    embedded = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for path, module in model.named_modules():
        index = decides(rules, f"{path}.weight")
        if index is None or rules[index].lora is None:
            continue
        if id(module) in stacks:
            raise ValueError(
                f"rules[{index}].pattern = {shown(rules[index].pattern)} gives LoRA to {path}, the experts "
                r"of a block: name attention alone, such as ^decoder\.layers\.\d+\.self_attn\."
            )
        tied = isinstance(module, nn.Linear) and id(module.weight) in embedded
        if isinstance(module, WITHOUT_FACTORS) or tied:
            what = "a head tied to the embedding" if tied else f"no linear but {type(module).__name__}"
            raise ValueError(
                f"rules[{index}].pattern = {shown(rules[index].pattern)} gives LoRA to {path}, {what}: "
                r"name the blocks alone, such as ^decoder\.layers\., or put a rule for it in front"
            )
        if isinstance(module, Plain | LoRALinear):
            found.add(index)
    for index, rule in enumerate(rules):
        if rule.lora is not None and index not in found:
            raise ValueError(
                f"rules[{index}].pattern = {shown(rule.pattern)} has lora but decides no linear; correct it, "
                "or move it before the pattern that takes its matches"
            )
