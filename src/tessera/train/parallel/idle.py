"""Batches for ranks that have none, so that all ranks of a step pass through the same parts of the model.

A sharded part is put together in its forward pass by all ranks: one that goes past it would leave the others
waiting for ever.
"""

from collections.abc import Sequence
from typing import Any

from tessera.train.objective.contract import Running
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import totals


def shared_work(
    objective: Any, model: Any, batches: Sequence[Any], mesh: ProcessMesh, most: int
) -> tuple[float, list[tuple[Any, float]]]:
    """The normaliser of all ranks, and what this one computes: batches, each with the factor of its loss.

    Where ranks wait for each other, in the model or in the loss, one whose batch has no tiles while another's
    has some, or that has none of its `most` batches, gets an idle one: it computes, and its gradient is zero.
    """
    own = sum(objective.weight(batch) for batch in batches)
    if not mesh.in_step and (mesh.data.world == 1 or not isinstance(objective, Running)):
        (normaliser,) = totals([own], mesh.data)
        return normaliser, [(batch, mesh.loss_share) for batch in batches]
    if len(batches) > most:
        raise ValueError(f"{len(batches)} batches in a step of at most {most} for each process")
    sees = [objective.counts(batch).tiles > 0 for batch in batches] + [False] * (most - len(batches))
    normaliser, *found = totals([own, *map(float, sees), *map(float, _there(batches, most))], mesh.data)
    work = []
    for number in range(most):
        anyone_sees, anyone = found[number] > 0, found[most + number] > 0
        batch = batches[number] if number < len(batches) else None
        if not anyone:
            break
        factor = 0.0 if batch is None else mesh.loss_share
        if batch is None or (anyone_sees and not sees[number]):
            batch = objective.idle(model, batch, anyone_sees)
        work.append((batch, factor))
    return normaliser, work


def _there(batches: Sequence[Any], most: int) -> list[bool]:
    return [number < len(batches) for number in range(most)]
