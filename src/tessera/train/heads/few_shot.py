"""A few pictures a class: logistic regression on frozen features, several draws.

Not published for InternViT; it is CLIP's way of few-shot probes (arXiv 2103.00020, section 3.1.2) with one
fixed penalty. Features are centred and scaled by the pictures that are learned from.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import nn
from torch.nn import functional as F

from tessera.runtime.seeds import derive_seed

PENALTY = 0.01
STEPS = 100


@dataclass(frozen=True)
class FewShot:
    """Percent right on held-out pictures after learning from `shots` a class, a figure a draw."""

    shots: int
    acc1: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over draws."""
        return statistics.fmean(self.acc1)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over draws; None for one."""
        return statistics.stdev(self.acc1) if len(self.acc1) > 1 else None


def few_shot(
    rows: torch.Tensor,
    labels: Sequence[int],
    held_rows: torch.Tensor,
    held_labels: Sequence[int],
    shots: int,
    draws: int = 3,
    seed: int = 0,
) -> FewShot:
    """Learn from `shots` pictures of every class that occurs, `draws` times. Rows are float [N, W].

    ValueError where a class has fewer pictures.
    """
    require_shots(labels, shots)
    classes = sorted(set(labels))
    places = {label: [at for at, one in enumerate(labels) if one == label] for label in classes}
    wanted, found = torch.tensor(held_labels), []
    for draw in range(draws):
        rng = Random(derive_seed("shots", seed, shots, draw))
        chosen = [place for label in classes for place in rng.sample(places[label], shots)]
        mine = torch.tensor([labels[place] for place in chosen])
        scores = _scores(rows[chosen].float(), mine, held_rows, max(*classes, *held_labels) + 1)
        found.append(100 * (scores.argmax(1) == wanted).double().mean().item())
    return FewShot(shots, tuple(found))


def require_shots(labels: Sequence[int], shots: int) -> None:
    """ValueError where a class that occurs has fewer pictures."""
    label, least = min(Counter(labels).items(), key=lambda one: one[1])
    if not 1 <= shots <= least:
        raise ValueError(f"shots = {shots}: class {label} has {least} pictures; give 1 to {least}")


def _scores(rows: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor, classes: int) -> torch.Tensor:
    """Of a regression that has converged."""
    mean, spread = rows.mean(0), rows.std(0, correction=0).clamp(min=1e-6)
    inputs = (rows - mean) / spread / rows.shape[1] ** 0.5
    layer = nn.Linear(rows.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    solver = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        penalty = 0.5 * PENALTY * layer.weight.square().sum() / len(rows)
        loss = F.cross_entropy(layer(inputs), labels) + penalty
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        scores: torch.Tensor = layer((asked.float() - mean) / spread / rows.shape[1] ** 0.5)
        return scores
