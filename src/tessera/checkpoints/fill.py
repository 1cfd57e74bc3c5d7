"""Fill an empty model from files: each tensor read once, cast, packed or quantised, put where it belongs.

What is stored in few bits already comes as codes, and stays so.

Nothing is kept but the model: the host's memory holds the finished part of it and the tensor being read.
With packed linears all of it stays windows into the files, read when they are used.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from tessera.checkpoints.placement import device_of
from tessera.nn.codes import Codes
from tessera.nn.linear import LinearKind, make_linear


def fill(
    model: nn.Module,
    tensors: Iterable[tuple[str, torch.Tensor]],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    devices: Mapping[str, str] | None = None,
    linears: LinearKind = "plain",
    chosen: Callable[[str], bool] | None = None,
    windows: bool = False,
    coded: Iterable[tuple[str, Codes]] = (),
) -> None:
    """Replace the (meta) parameters by tensors under own names; `dtype` None keeps the stored one.

    `devices`: own prefix -> device, the longest that matches wins, `device` takes the rest. Parameters that
    were tied stay tied. `chosen`: by their own names, weights and biases that may be packed or quantised.
    `windows`: what needs no cast stays a window into its file, whose pages all processes of a host share.
    `coded`: own names of weights in few bits, which `tensors` lacks.
    """
    sites = _sites(model)
    builder = _LinearBuilder(model, linears, chosen or (lambda name: True))

    def moved(name: str, tensor: torch.Tensor) -> torch.Tensor:
        wanted = dtype if tensor.is_floating_point() else None
        return tensor.to(device_of(name, devices or {}) or device, wanted or tensor.dtype)

    def kept(here: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        # Other models own their memory, and don't depend on their files after loading.
        stays = linears == "packed" or (windows and here.is_contiguous())
        window = _is_window(here, read) and not stays
        return here.clone(memory_format=torch.contiguous_format) if window else here

    for name, codes in coded:
        parts = (None if part is None else kept(moved(name, part), part) for part in codes)
        builder.take_codes(name, type(codes)._make(parts))
    for name, tensor in tensors:
        here = moved(name, tensor)
        if builder.wants(name):
            builder.take(name, here)
        else:
            parameter = nn.Parameter(kept(here, tensor))
            for site in sites[name]:
                module, _, leaf = site.rpartition(".")
                model.get_submodule(module).register_parameter(leaf, parameter)


def _is_window(moved: torch.Tensor, read: torch.Tensor) -> bool:
    """Whether a tensor still is the one that was read, and so perhaps a mapped file that may change."""
    return moved.untyped_storage().data_ptr() == read.untyped_storage().data_ptr()


def _sites(model: nn.Module) -> dict[str, list[str]]:
    """First name of each parameter -> all its names; tied ones have several."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {group[0]: group for group in names.values()}


class _LinearBuilder:
    """Replaces linears by packed or quantised ones as soon as their weight and bias are there."""

    def __init__(self, model: nn.Module, kind: LinearKind, chosen: Callable[[str], bool]) -> None:
        self._model, self._kind = model, kind
        self._waiting: dict[str, dict[str, torch.Tensor]] = {}
        self._codes: dict[str, Codes] = {}
        found = {} if kind == "plain" else replaceable(model, kind)
        self._linears = {
            path: linear
            for path, linear in found.items()
            if all(chosen(f"{path}.{leaf}") for leaf, _ in linear.named_parameters())
        }

    def wants(self, name: str) -> bool:
        """Whether an own parameter belongs to a linear that is replaced."""
        path = name.rpartition(".")[0]
        return path in self._linears or path in self._codes

    def take_codes(self, name: str, codes: Codes) -> None:
        """A weight in few bits, on its device; its bias comes later."""
        path = name.rpartition(".")[0]
        linear = self._model.get_submodule(path)
        if getattr(linear, "bias", None) is None:
            self._put(path, codes.linear(None))
        else:
            self._codes[path] = codes

    def take(self, name: str, tensor: torch.Tensor) -> None:
        """A weight or a bias on its device, in its dtype."""
        path, _, leaf = name.rpartition(".")
        if codes := self._codes.pop(path, None):
            self._put(path, codes.linear(tensor.clone()))
            return
        parts = self._waiting.setdefault(path, {})
        # A window into the file: packed layers keep it, quantised ones read the weight once, keep the bias.
        stays = self._kind != "packed" and leaf == "bias"
        parts[leaf] = tensor.clone() if stays else tensor
        # Weight and bias may lie in different shards.
        if len(parts) < 1 + (self._linears[path].bias is not None):
            return
        del self._waiting[path]
        self._put(path, make_linear(self._kind, parts["weight"], parts.get("bias")))

    def _put(self, path: str, linear: nn.Module) -> None:
        parent, _, child = path.rpartition(".")
        setattr(self._model.get_submodule(parent), child, linear)


def replaceable(model: nn.Module, kind: LinearKind) -> dict[str, nn.Linear]:
    """Linears whose weight is not tied to another: for packing all of them, in few bits those of blocks."""
    tied = {path.rpartition(".")[0] for group in _sites(model).values() if len(group) > 1 for path in group}
    stacks = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, nn.ModuleList))
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and path not in tied
        and (kind == "packed" or path.startswith(stacks))
    }
