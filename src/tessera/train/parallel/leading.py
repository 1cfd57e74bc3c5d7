"""Work of one process with a model whose weights are shared out: the others hand in their parts.

Before each block the process that leads says which one it needs, and all put its weights together. So the
work may take any course and any number of passes (answers of unknown length); the others compute nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule

from tessera.train.parallel.ranks import Ranks

T = TypeVar("T")
END = -1
"""Said instead of a block's number when the work is done."""


def led(model: nn.Module, ranks: Ranks, work: Callable[[], T]) -> T | None:
    """What `work` returns on the process that leads, None on the others, which meanwhile help it.

    Without gradients, behind a first step, and not for weights that `tensor` or tokens that `sequence` share.
    All blocks come together one at a time; what stands outside of them (embeddings, head, connector) stays.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    if not parts:
        return work() if ranks.leads else None
    root, *blocks = parts
    root.unshard()
    try:
        if ranks.leads:
            return _lead(blocks, ranks, work)
        while (number := _said(END, ranks)) != END:
            blocks[number].unshard()
            blocks[number].reshard()
        return None
    finally:
        root.reshard()


def _lead(blocks: Sequence[Any], ranks: Ranks, work: Callable[[], T]) -> T:
    def ask(number: int, *_: object) -> None:
        _said(number, ranks)

    # In front of the hook that puts the block's weights together.
    hooks = [
        block.register_forward_pre_hook(partial(ask, number), prepend=True)
        for number, block in enumerate(blocks)
    ]
    try:
        return work()
    finally:
        for hook in hooks:
            hook.remove()
        _said(END, ranks)


def _said(number: int, ranks: Ranks) -> int:
    """The number that the leading process says. It travels between the hosts: no device is waited for."""
    told = torch.tensor(number)
    with ranks.meeting():
        dist.broadcast(told, 0)
    return int(told)
