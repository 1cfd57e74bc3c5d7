"""A training step on random weights and packs, for `memory_plan.py`: the real step and the real optimizer."""

from __future__ import annotations

import torch
from torch import nn

from tessera.models.config import VLMConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.linear import make_linear
from tessera.nn.lora import replace_module
from tessera.nn.recompute import set_recompute
from tessera.packing.pack import Pack
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.plan.memory import Ways
from tessera.train.plan.passes import Workload
from tessera.train.plan.shell import still
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer
from tessera.train.update.rules import assign
from tessera.train.update.wrapping import wrap


class Run:
    """A model as a stage trains it."""

    def __init__(self, config: VLMConfig, ways: Ways, work: Workload) -> None:
        model = random_model(config, ways)
        masters = Masters(ways.precision)
        wrap(model, ways.rules, 0, masters)
        masters.hold(model)
        set_recompute(model, ways.recompute)
        self.optimizer = Optimizer(assign(model, ways.rules), ways.optimizer, masters)
        self._step = Step(ConversationObjective(), model.train(), torch.device("cpu"))
        self.batches = [random_pack(config, work) for _ in range(ways.accumulate)]

    def step(self) -> None:
        """Gradients of all packs and one update."""
        self._step.update(self.batches, self.optimizer, 1.0)


def random_model(config: VLMConfig, ways: Ways) -> VLM:
    """Weights in the dtype of the run from the start, matrix by matrix, and quantised where that is asked."""
    dtype = torch.bfloat16 if ways.precision == "bfloat16" else torch.float32
    with without_memory():
        model = VLM(config)
    made: dict[int, nn.Parameter] = {}
    stacks = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, nn.ModuleList))
    for path, module in list(model.named_modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) not in made:
                numbers = torch.empty(parameter.shape, dtype=dtype).normal_(std=0.02)
                made[id(parameter)] = nn.Parameter(numbers)
            module.register_parameter(name, made[id(parameter)])
        quantised = ways.frozen != "stored" and path.startswith(stacks) and still(ways.rules, path)
        if isinstance(module, nn.Linear) and quantised:
            with torch.no_grad():
                replace_module(model, path, make_linear(ways.frozen, module.weight, module.bias))
    return model


def random_pack(config: VLMConfig, work: Workload) -> Pack:
    """Placeholders first, then text; the last tokens of each sample are supervised."""
    ids = torch.randint(100, 1000, (work.tokens,))
    ids[: work.tiles * config.tokens_per_tile] = config.image_token_id
    weights = torch.zeros(work.tokens)
    share, end = work.supervised // len(work.lengths), 0
    for length in work.lengths:
        end += length
        weights[end - share : end] = 1.0
    tiles = torch.randint(0, 255, (work.tiles, config.tile_side, config.tile_side, 3), dtype=torch.uint8)
    count = len(work.lengths)
    keys = tuple(map(str, range(count)))
    return Pack(ids, weights, work.lengths, tiles, keys, (work.tiles, *(0,) * (count - 1)), (share,) * count)
