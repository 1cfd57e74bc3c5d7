"""Weights in few bits in Tessera's layout.

`tessera.json` says so in its section `quantised`: the kind, and the patterns of what was kept. The weight of
such a linear is stored as `nn.quantised.Codes`: `….weight` int8 [out, in] with `….scale` [out], or, for int4,
uint8 [out, in / 2] with `….scale` [out, in / group]. Everything else is stored as usual.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Literal, get_args

import torch

from tessera.checkpoints import own
from tessera.checkpoints.files.shards import TensorSource
from tessera.checkpoints.files.views import View
from tessera.nn.codes import Codes
from tessera.runtime.config import Config
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

FewBits = Literal["int8", "int4"]
FEW_BITS: tuple[FewBits, ...] = get_args(FewBits)
WEIGHT, SCALE = ".weight", ".scale"
CODED: dict[torch.dtype, FewBits] = {torch.int8: "int8", torch.uint8: "int4"}


class QuantisedForm(Config):
    """How a checkpoint's blocks are stored, and the patterns of those linears that were kept as they were."""

    kind: FewBits
    keep: tuple[str, ...] = ()


def form_of(folder: Path) -> QuantisedForm | None:
    """The form of a folder in Tessera's layout; None for plain weights and other layouts.

    Raises ValueError naming file and field.
    """
    if not own.describes(folder):
        return None
    content = Section.of(folder / own.CONFIG_FILE)
    if own.QUANTISED not in content:
        return None
    said = content.section(own.QUANTISED)
    return said.build(QuantisedForm, **said.content)


class StoredCodes(View):
    """A view that gives weights stored in few bits as floats, and has their codes, too."""

    told: str
    """In what they are stored, for messages."""
    coded: frozenset[str]
    """Keys, as the view has them, of weights in few bits."""

    @abstractmethod
    def codes(self, key: str) -> Codes:
        """One of `coded` as it is stored, perhaps windows into the file. ValueError for a broken one."""


class CodedView(StoredCodes):
    """A folder in our own form; `tensor` gives floats in `dtype`, None takes that of the scales."""

    def __init__(self, source: TensorSource, form: QuantisedForm, dtype: torch.dtype | None = None) -> None:
        super().__init__(source)
        self.form, self.told, self._dtype = form, form.kind, dtype
        self.coded = frozenset(
            key.removesuffix(SCALE) + WEIGHT for key in source.files if key.endswith(SCALE)
        )
        for key in sorted(self.coded - source.files.keys()):
            alone = _scale_of(key)
            raise ValueError(
                f"{source.place(alone)}: {shown(alone)} stands without {shown(key)}: fetch the files again"
            )
        self.files = {key: file for key, file in source.files.items() if not key.endswith(SCALE)}

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, that of the floats."""
        shape = self._source.shape(key)
        if key in self.coded and self.form.kind == "int4" and len(shape) == 2:
            return (shape[0], 2 * shape[1])
        return shape

    def tensor(self, key: str) -> torch.Tensor:
        """A tensor; weights in few bits as floats."""
        if key not in self.coded:
            return self._source.tensor(key)
        codes = self.codes(key)
        return codes.dense().to(self._dtype or codes.scale.dtype)

    def codes(self, key: str) -> Codes:
        """A weight as it is stored, windows into the file. ValueError for one that is not of this form."""
        weight, scale = self._source.tensor(key), self._source.tensor(_scale_of(key))
        if CODED.get(weight.dtype) != self.form.kind or not _fits(weight, scale):
            found, by = (f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in (weight, scale))
            raise ValueError(
                f"{self.place(key)}: {shown(key)} is {found} with scales {by}, which is no weight in "
                f"{self.form.kind}, as {own.CONFIG_FILE} says: fetch the files again"
            )
        if not scale.isfinite().all():
            raise ValueError(
                f"{self.place(key)}: the scales of {shown(key)} are not all finite: fetch the file again"
            )
        return Codes(weight, scale)


def _scale_of(key: str) -> str:
    return key.removesuffix(WEIGHT) + SCALE


def _fits(weight: torch.Tensor, scale: torch.Tensor) -> bool:
    """Whether there is a scale for each row, or for each group of each row."""
    if weight.dim() != 2 or not scale.is_floating_point() or len(weight) != len(scale):
        return False
    if weight.dtype == torch.int8:
        return scale.dim() == 1
    pairs, groups = weight.shape[1], scale.shape[-1]
    return scale.dim() == 2 and 0 < groups <= pairs and pairs % groups == 0
