"""What every vision encoder offers, whichever family it stands in."""

from abc import abstractmethod

import torch
from torch import nn


class TileEncoder(nn.Module):
    """Pixels of square tiles to states. `layers` are its blocks; rates of layer decay count them."""

    layers: nn.ModuleList
    patches: int
    """States of a tile of the usual size; bounds how many tiles go through together."""

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels float [N, 3, S, S] to states [N, P, D] for the connector."""

    @property
    def like(self) -> torch.Tensor:
        """A parameter in the device and dtype that pixels must have; blocks may be packed or in int8."""
        return next(self.parameters())
