"""Packs of one shape through inductor's kernels on a GPU; what they are is tested on CPUs."""

from __future__ import annotations

import pytest
import torch

from tessera.packing.config import Limits
from tessera.packing.pack import collate
from tessera.train.compiled import set_compiled
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.step import Step
from tests.train import tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_losses_are_those_of_plain_packs_and_the_third_pack_compiles_nothing() -> None:
    import torch._dynamo.utils as counting

    device, drawn = torch.device("cuda"), tiny.samples(9)
    model = tiny.model().to(device, torch.bfloat16)
    packs = [collate(drawn[first : first + 3]) for first in (0, 3, 6)]
    step = Step(ConversationObjective(), model, device)
    plain = [float(step.gradients([pack])[0]) for pack in packs]
    set_compiled(model, "inductor")
    limits = Limits(max_tokens=450, max_tiles=16)
    full = Step(ConversationObjective(), model, device, filled_to=limits)
    found, graphs = [], []
    for pack in packs:
        found.append(float(full.gradients([pack])[0]))
        graphs.append(counting.counters["stats"]["unique_graphs"])
    assert found == pytest.approx(plain, rel=2e-2)
    assert graphs[1] == graphs[2]
