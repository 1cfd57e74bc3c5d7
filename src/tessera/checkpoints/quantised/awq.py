"""AWQ files of the released `-AWQ` models, as LMDeploy and AutoAWQ write them: linears of the language model.

Instead of `….weight` [out, in] a linear has `qweight` int32 [in, out / 8], `qzeros` int32 [in / G, out / 8]
and `scales` float [in / G, out]: a weight is (code - zero) * scale, with one zero and scale for G inputs of
an output (G is 128). Eight codes of 4 bits lie in a word, from its low bits on, of outputs in `ORDER`
(AutoAWQ's GEMM version; arXiv 2306.00978 has the method).
"""

import torch

from tessera.checkpoints.files.shards import TensorSource
from tessera.checkpoints.quantised.form import StoredCodes
from tessera.nn.codes import Codes
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight neighbouring outputs the first, second … 4 bits of a word belong to."""
CODES, ZEROS, SCALES = ".qweight", ".qzeros", ".scales"
WEIGHT = ".weight"


class AwqView(StoredCodes):
    """AWQ's linears: `tensor` gives floats, formed in float32, in `dtype`; None takes that of the scales.

    `said`: `quantization_config`. Raises ValueError naming a field of it that stands for other files.
    """

    told = "4 bits (AWQ)"

    def __init__(self, source: TensorSource, said: Section, dtype: torch.dtype | None = None) -> None:
        super().__init__(source)
        self._group, self._dtype = _group(said), dtype
        packed = [key.removesuffix(CODES) for key in source.files if key.endswith(CODES)]
        for name in packed:
            for ending in (ZEROS, SCALES):
                if name + ending not in source.files:
                    raise ValueError(
                        f"{source.place(name + CODES)}: {shown(name + CODES)} stands without "
                        f"{shown(name + ending)}: fetch the files again"
                    )
        self._packed = {name + WEIGHT: name for name in packed}
        self.coded = frozenset(self._packed)
        parts = {name + ending for name in packed for ending in (CODES, ZEROS, SCALES)}
        self.files = {key: file for key, file in source.files.items() if key not in parts}
        self.files |= {key: source.files[name + CODES] for key, name in self._packed.items()}

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, that of the floats."""
        if key not in self._packed:
            return self._source.shape(key)
        inner, words = self._source.shape(self._packed[key] + CODES)
        return (len(ORDER) * words, inner)

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor; packed weights as floats [out, in]."""
        if key not in self._packed:
            return self._source.tensor(key)
        codes, zeros, scales = self._parts(self._packed[key])
        whole = unpack(codes).float().unflatten(0, (len(scales), -1))  # [G, in / G, out]
        weight = (whole - unpack(zeros).float()[:, None]) * scales.float()[:, None]
        return weight.flatten(0, 1).T.to(self._dtype or scales.dtype).contiguous()

    def codes(self, key: str) -> Codes:
        """A weight as our own layers keep it: codes [out, in / 2], two in a byte, scales and zeros."""
        words, zeros, scales = self._parts(self._packed[key])
        return Codes(repack(words), scales.T.contiguous(), unpack(zeros).T.contiguous())

    def _parts(self, name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Codes, zeros and scales of a linear. ValueError where they do not fit each other."""
        codes, zeros, scales = (self._source.tensor(name + ending) for ending in (CODES, ZEROS, SCALES))
        inner, words = codes.shape if codes.dim() == 2 else (0, 0)
        groups = inner // (self._group or max(1, inner))
        if (
            (codes.dtype, zeros.dtype) != (torch.int32, torch.int32)
            or not scales.is_floating_point()
            or groups * (self._group or inner) != inner
            or (tuple(zeros.shape), tuple(scales.shape)) != ((groups, words), (groups, len(ORDER) * words))
        ):
            found = ", ".join(f"{str(t.dtype)[6:]} {tuple(t.shape)}" for t in (codes, zeros, scales))
            raise ValueError(
                f"{self._source.place(name + CODES)}: codes, zeros and scales of {shown(name)} are {found}, "
                f"which is not AWQ in 4 bits with groups of {self._group or 'all'}: fetch the files again"
            )
        if not scales.isfinite().all():
            key = name + SCALES
            raise ValueError(f"{self._source.place(key)}: {shown(key)} is not finite: fetch the file again")
        return codes, zeros, scales


def unpack(words: torch.Tensor) -> torch.Tensor:
    """int32 [R, W] to the codes in it, uint8 [R, 8 W], in the order of the outputs."""
    places = torch.tensor(ORDER, device=words.device).argsort()
    codes = words[..., None] >> (4 * places).to(words.dtype)
    return (codes & 15).to(torch.uint8).flatten(1)


def repack(words: torch.Tensor) -> torch.Tensor:
    """int32 [in, W] to the same codes as uint8 [8 W, in / 2], the first input of a pair in the high bits.

    Several times faster than `unpack`, which a model of 8 B would take minutes for.
    """
    first, second = (words.T[:, start::2].contiguous() for start in (0, 1))
    pairs = torch.empty(len(first), len(ORDER), first.shape[1], dtype=torch.uint8, device=words.device)
    for place, out in enumerate(ORDER):
        pairs[:, out] = (first >> 4 * place & 15) << 4 | (second >> 4 * place & 15)
    return pairs.flatten(0, 1)


def _group(said: Section) -> int:
    """Inputs that share a scale, 0 for all. ValueError for what is packed in another way."""
    for name, wanted, found in (
        ("bits", 4, said.whole("bits", 4)),
        ("version", "gemm", said.text("version", "gemm").lower()),
        ("zero_point", True, said.flag("zero_point", True)),
    ):
        if found != wanted:
            raise ValueError(
                f"{said.place(name)} = {shown(said.content[name])}: of AWQ files those with {wanted!r} are "
                "read; fetch the checkpoint that it was made from"
            )
    size = said.whole("group_size", said.whole("q_group_size", 128))
    if size < -1 or size == 0:
        raise said.wrong("group_size", "a number above 0 is needed here, or -1")
    return max(0, size)
