"""Blocks of a model through `torch.compile`: norms, activations, rotations and sums as few kernels.

Attention and experts stay outside of the graphs. A layout, and how many rows an expert has, differ from pack
to pack, and what a graph reads of them would be compiled anew each time. Blocks of one kind share a graph, so
a model of any depth compiles few.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from tessera.nn.attention.api import Attend
from tessera.nn.experts.mixture import Experts

Compile = Literal["none", "inductor", "aot_eager"]
"""torch's names of a backend: `inductor` makes kernels; `aot_eager` traces and runs as before, to look at."""


def set_compiled(model: nn.Module, how: Compile) -> None:
    """Compile each block of all stacks of a model when it is called next, or do so no longer.

    ValueError when the model has no stack.
    """
    stacks: list[Any] = [module for module in model.modules() if hasattr(module, "recompute")]
    if not stacks and how != "none":
        raise ValueError(f"compile = {how!r}: {type(model).__name__} has no stack of blocks; leave it none")
    for stack in stacks:
        for module in stack.modules():
            if isinstance(module, Attend | Experts):
                module.__dict__.pop("forward", None)
                if how != "none":
                    module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
        for block in stack.layers:
            block._compiled_call_impl = None
            if how != "none":
                block.compile(backend=how)


@contextmanager
def uncompiled(how: Compile) -> Iterator[None]:
    """Within it compiled blocks compute as they are written: for batches of other shapes."""
    if how == "none":
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
