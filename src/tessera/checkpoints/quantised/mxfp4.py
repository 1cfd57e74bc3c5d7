"""Experts in MXFP4, as GPT-OSS is published: four bits a weight, a power of two for 32 of them.

Instead of `…_proj` [E, in, out] a block has `…_proj_blocks` uint8 [E, out, in / 32, 16] and `…_proj_scales`
uint8 [E, out, in / 32]. A byte holds two weights, the first in its low bits (docs/facts/moe.md; OCP
Microscaling Formats 1.0). Floats of bfloat16 or more hold them exactly.
"""

import torch

from tessera.checkpoints.files.shards import TensorSource
from tessera.checkpoints.quantised.form import StoredCodes
from tessera.nn.codes import Codes, Mxfp4Codes
from tessera.runtime.shown import shown

BLOCKS, SCALES = "_blocks", "_scales"
IN_BLOCK = 32
BIAS, NO_NUMBER = 127, 255


class Mxfp4View(StoredCodes):
    """`tensor` gives floats in `dtype`, None is bfloat16. Raises ValueError for blocks without scales."""

    told = "4 bits (MXFP4)"

    def __init__(self, source: TensorSource, dtype: torch.dtype | None = None) -> None:
        super().__init__(source)
        self._dtype = dtype or torch.bfloat16
        packed = [key.removesuffix(BLOCKS) for key in source.files if key.endswith(BLOCKS)]
        for name in packed:
            if name + SCALES not in source.files:
                raise ValueError(
                    f"{source.place(name + BLOCKS)}: {shown(name + BLOCKS)} stands without "
                    f"{shown(name + SCALES)}: fetch the files again"
                )
        self.coded = frozenset(packed)
        parts = {name + ending for name in packed for ending in (BLOCKS, SCALES)}
        self.files = {key: file for key, file in source.files.items() if key not in parts}
        self.files |= {name: source.files[name + BLOCKS] for name in packed}

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, that of the floats."""
        if key not in self.coded:
            return self._source.shape(key)
        experts, out, groups, *_ = (*self._source.shape(key + BLOCKS), 0, 0, 0)
        return (experts, groups * IN_BLOCK, out)

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor; experts as floats [E, in, out]."""
        if key not in self.coded:
            return self._source.tensor(key)
        weight, scale = (part.transpose(1, 2) for part in self.codes(key)[:2])  # [E, out, …]
        dense = Mxfp4Codes(weight.flatten(0, 1), scale.flatten(0, 1)).dense()
        return dense.to(self._dtype).unflatten(0, weight.shape[:2]).transpose(1, 2)

    def codes(self, key: str) -> Codes:
        """Codes uint8 [E, in / 2, out], two in a byte, and scales bfloat16 [E, in / 32, out]."""
        blocks, scales = (self._source.tensor(key + ending) for ending in (BLOCKS, SCALES))
        found = (blocks.dtype, scales.dtype, tuple(blocks.shape))
        if found != (torch.uint8, torch.uint8, (*scales.shape, IN_BLOCK // 2)) or scales.dim() != 3:
            raise ValueError(
                f"{self.place(key)}: blocks and scales of {shown(key)} are {str(blocks.dtype)[6:]} "
                f"{tuple(blocks.shape)} and {str(scales.dtype)[6:]} {tuple(scales.shape)}, which is not "
                "MXFP4: fetch the files again"
            )
        if (scales == NO_NUMBER).any():
            raise ValueError(f"{self.place(key)}: a scale of {shown(key)} is no number: fetch the file again")
        weight = ((blocks << 4) | (blocks >> 4)).flatten(2)  # ours has the first of a pair in the high bits
        factor = torch.ldexp(torch.ones_like(scales, dtype=torch.bfloat16), scales.int() - BIAS)
        return Mxfp4Codes(weight.transpose(1, 2), factor.to(torch.bfloat16).transpose(1, 2))
