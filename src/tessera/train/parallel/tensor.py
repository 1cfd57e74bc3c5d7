"""Tensor parallelism from outside: the matrices of the decoder's blocks, divided by heads and by channels.

Projections to heads and to the inner width are cut by rows, those back by columns, so that a block adds up
twice (Megatron-LM, arXiv 1909.08053, by PyTorch's `parallelize_module`). Norms, embeddings, ViT and connector
compute the same on every process.
"""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

from tessera.models.decoder import Decoder
from tessera.train.parallel.heads import require_shares

CUT = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")
JOINED = ("self_attn.o_proj", "mlp.down_proj")


def share_matrices(decoder: Decoder, mesh: DeviceMesh) -> None:
    """Replace the weights of the blocks' linears by DTensors over `mesh`, in place.

    ValueError when heads or inner width don't divide, or when a linear is no plain one.
    """
    require_shares("tensor", mesh.size(), decoder.config, decoder.config.intermediate_size)
    experts = tuple(name.replace("mlp.", "mlp_visual.") for name in (*CUT, *JOINED) if "mlp." in name)
    names = (*CUT, *JOINED, *(experts if decoder.config.visual_experts else ()))
    for number, block in enumerate(decoder.layers):
        for name in names:
            if type(found := block.get_submodule(name)) is not nn.Linear:
                raise ValueError(
                    f"parallel.tensor = {mesh.size()}: layer {number}, {name} is {type(found).__name__}; "
                    "only plain matrices are shared: use shard for LoRA and quantised bases"
                )
        joined = tuple(name.rpartition(".")[2] for name in JOINED)
        plan: dict[str, ParallelStyle] = {
            name: RowwiseParallel() if name.endswith(joined) else ColwiseParallel() for name in names
        }
        parallelize_module(block, mesh, plan)
