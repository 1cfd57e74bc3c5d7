"""Classes of whole pictures from a frozen encoder's state: a linear probe, and one that pools by attention.

Parameter names are those of the authors' code for classification, so that its released head opens
(docs/facts/backbone.md).
"""

from typing import Literal

import torch
from torch import nn

from tessera.models.config import VisionConfig
from tessera.models.pair.pooling import AttentionPooling

ProbeKind = Literal["linear", "attention"]
NORM_EPS = 1e-6


class LinearProbe(nn.Module):
    """BatchNorm and a linear layer on `pooled`."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2 * width, eps=NORM_EPS)
        self.head = _classifier(2 * width, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[N, 2 D] to scores [N, K]."""
        scores: torch.Tensor = self.head(self.norm(features))
        return scores


class AttentionProbe(nn.Module):
    """Attention pooling over all tokens, then BatchNorm and a linear layer."""

    def __init__(self, width: int, heads: int, classes: int) -> None:
        super().__init__()
        self.attn_pooling = AttentionPooling(width, heads, width)
        self.norm = nn.BatchNorm1d(width, eps=NORM_EPS)
        self.head = _classifier(width, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Tokens [N, 1 + P, D] to scores [N, K]."""
        scores: torch.Tensor = self.head(self.norm(self.attn_pooling(features)))
        return scores


def make_probe(kind: ProbeKind, vision: VisionConfig, classes: int) -> LinearProbe | AttentionProbe:
    """A probe of states of this width; its attention has the encoder's heads, as published."""
    if kind == "linear":
        return LinearProbe(vision.hidden_size, classes)
    return AttentionProbe(vision.hidden_size, vision.num_attention_heads, classes)


def pooled(state: torch.Tensor) -> torch.Tensor:
    """A state [N, 1 + P, D] to [N, 2 D]: the class token beside the mean of the patches."""
    return torch.cat((state[:, 0], state[:, 1:].mean(1)), dim=-1)


def _classifier(width: int, classes: int) -> nn.Linear:
    made = nn.Linear(width, classes)
    nn.init.normal_(made.weight, std=0.01)
    nn.init.zeros_(made.bias)
    return made
