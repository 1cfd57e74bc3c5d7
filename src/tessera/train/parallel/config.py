"""How a run is spread over its processes, as a field of its recipe."""

from typing import Annotated, Literal

from pydantic import Field

from tessera.runtime.config import Config


class Parallel(Config):
    """Four ways to share the work; the product of their numbers is the number of processes.

    `shard` and `replicate` give each process packs of its own, `sequence` and `tensor` let several compute
    the same packs together. Rates and losses are those of one process with the whole batch.
    """

    shard: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Processes that hold one copy of weights, gradients and optimizer between them (FSDP2); auto takes all
    that the others leave. 1 gives every process a whole copy."""
    replicate: int = Field(default=1, gt=0)
    """Such copies: gradients are summed over them (HSDP, or plain replicas with shard = 1)."""
    sequence: int = Field(default=1, gt=0)
    """Processes that share the tokens of each pack in the decoder, for packs too long for one."""
    tensor: int = Field(default=1, gt=0)
    """Processes that share each matrix of the decoder's blocks (DTensor); keep it inside one node."""

    def shards(self, world: int) -> int:
        """The number that `shard` stands for among `world` processes.

        ValueError naming the fields when their product is another number.
        """
        others = self.replicate * self.sequence * self.tensor
        shard = max(1, world // others) if self.shard == "auto" else self.shard
        if shard * others != world:
            raise ValueError(
                f"parallel: shard {self.shard} x replicate {self.replicate} x sequence {self.sequence} x "
                f"tensor {self.tensor} does not make {world} processes; change one of them or "
                "--nproc-per-node"
            )
        return shard
