"""Packs of one shape through compiled blocks: the same losses, and nothing is compiled for a new pack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from tessera.nn.lora import LoRAConfig
from tessera.packing.config import Limits, PackingConfig
from tessera.packing.pack import Pack, collate, filled
from tessera.train.compiled import set_compiled, uncompiled
from tessera.train.loop import Trainer
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.recipe import Recipe, Stage
from tessera.train.setup import set_up
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, assign
from tessera.train.update.wrapping import wrap
from tests.train import tiny

LIMITS = Limits(max_tokens=450, max_tiles=16)


def _packs() -> list[Pack]:
    """Of different lengths, numbers of samples and tiles; the last has no picture."""
    drawn = tiny.samples(9)
    return [collate(drawn[cut]) for cut in (slice(2, 4), slice(4, 5), slice(5, 9), slice(0, 2), slice(1, 2))]


def _gradients(model: torch.nn.Module, pack: Pack, limits: Limits | None) -> tuple[float, torch.Tensor]:
    loss, _ = Step(ConversationObjective(), model, tiny.CPU, filled_to=limits).gradients([pack])
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return float(loss), found


def test_a_filled_pack_has_the_full_shape_and_the_same_loss_and_gradients() -> None:
    model = tiny.model()
    for pack in _packs():
        full = ConversationObjective().filled(model, pack, LIMITS)
        assert (len(full.ids), sum(full.lengths)) == (450, 450)
        assert len(full.tiles) == (16 if len(pack.tiles) else 0)
        (loss, gradient), (other, others) = _gradients(model, pack, LIMITS), _gradients(model, pack, None)
        assert loss == pytest.approx(other, rel=1e-6)
        torch.testing.assert_close(gradient, others, atol=1e-6, rtol=1e-4)


def test_positions_are_filled_and_a_full_pack_is_left_alone() -> None:
    pack = _packs()[1]
    length = len(pack.ids)
    given = replace(pack, positions=torch.arange(length) * 0.5)
    positions = filled(given, length + 3, len(pack.tiles), token=1).positions
    assert positions is not None
    assert positions.tolist() == [*(i * 0.5 for i in range(length)), 0, 1, 2]
    assert filled(pack, length, len(pack.tiles), token=1).keys == pack.keys
    with pytest.raises(ValueError, match="can't be filled up to 1 and 12: raise packing.max_tokens"):
        filled(pack, 1, 12, token=1)


class _Graphs:
    """How many graphs torch has compiled so far in a test."""

    def __init__(self) -> None:
        import torch._dynamo.utils as counting  # slow to import: only where something is compiled

        self._counts = counting.counters["stats"]
        self._before = self._counts["unique_graphs"]

    @property
    def made(self) -> int:
        return int(self._counts["unique_graphs"]) - self._before


@pytest.fixture
def graphs() -> Iterator[_Graphs]:
    """Of a test that begins and ends with nothing compiled."""
    torch.compiler.reset()
    yield _Graphs()
    torch.compiler.reset()


def test_new_packs_compile_nothing_and_learn_the_same(graphs: _Graphs) -> None:
    """The second pack teaches torch that the rows asked for vary; from then on every pack is known."""
    model, packs = tiny.model(), _packs()
    plain = [_gradients(model, pack, None) for pack in packs]
    set_compiled(model, "aot_eager")
    counts = []
    for pack, (loss, gradient) in zip(packs, plain, strict=True):
        found, others = _gradients(model, pack, LIMITS)
        assert found == pytest.approx(loss, rel=1e-5)
        torch.testing.assert_close(others, gradient, atol=1e-5, rtol=1e-3)
        counts.append(graphs.made)
    assert 0 < counts[0] <= counts[1] == counts[2] == counts[-1]
    with uncompiled("aot_eager"):  # other shapes, as held-out records have them
        _gradients(model, packs[0], None)
    assert graphs.made == counts[-1]
    _gradients(model, packs[0], None)
    assert graphs.made > counts[-1]
    set_compiled(model, "none")
    assert all(layer._compiled_call_impl is None for layer in model.decoder.layers)


def _recipe(**changes: object) -> Recipe:
    packing = PackingConfig(max_tokens=600, max_tiles=32, lookahead=6)
    stage = Stage(name="s", steps=3, rules=(tiny.ALL,), sources=(tiny.PICTURES,), packing=packing, **changes)
    return tiny.recipe(stages=(stage,))


def test_a_run_compiles_when_its_stage_says_so(tmp_path: Path, graphs: _Graphs) -> None:
    losses = {}
    for how in ("none", "aot_eager"):
        trainer = Trainer(set_up(_recipe(compile=how)), tmp_path / how)
        losses[how] = [report.loss for report in trainer.run()]
        assert bool(graphs.made) == (how == "aot_eager")
    assert losses["aot_eager"] == pytest.approx(losses["none"], rel=1e-4)


def test_what_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(ValidationError, match="recompute = 'selective' don't go together"):
        _recipe(compile="inductor", recompute="selective")
    with pytest.raises(ValidationError, match="'distillation' have no shape to be padded to"):
        _recipe(compile="inductor", objective=DistillationObjective())
    with pytest.raises(ValueError, match="needs whole blocks in every process"):
        ProcessMesh(tensor=object()).require_whole_blocks("s", "inductor")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="compile = 'inductor': Linear has no stack"):
        set_compiled(torch.nn.Linear(2, 2), "inductor")


def test_lora_with_dropout_breaks_no_graph_but_at_attention() -> None:
    """A draw that torch can't trace made every adapted linear a graph of its own, up to torch's limit."""
    import torch._dynamo.utils as counting

    rules = (Rule(pattern=r"^decoder\.layers\.", learning_rate=1e-4, lora=LoRAConfig()), Rule(pattern="."))
    model = tiny.model().train()
    wrap(model, rules, 0, Masters())
    assign(model, rules)
    set_compiled(model, "aot_eager")
    torch._dynamo.reset()
    counting.counters.clear()
    _gradients(model, _packs()[0], LIMITS)
    assert counting.counters["graph_break"]
    assert all("Attend.forward" in reason for reason in counting.counters["graph_break"])
