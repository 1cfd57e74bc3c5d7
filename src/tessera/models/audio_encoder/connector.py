"""From the audio encoder's width to the decoder's: the official `mlp2`."""

import torch
from torch import nn

from tessera.nn.linear import linear_then


class AudioConnector(nn.Module):
    """LayerNorm, linear, GELU, linear."""

    def __init__(self, audio_width: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(audio_width)
        self.linear_1 = nn.Linear(audio_width, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """[M, D_audio] to [M, D]."""
        out: torch.Tensor = self.linear_2(linear_then(self.linear_1, self.norm(tokens), "gelu"))
        return out
