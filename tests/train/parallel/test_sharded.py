"""Two processes that share weights, tokens or matrices take the steps of one process with the whole batch.

Among the batches are text alone beside pictures, a rank with a batch less and one with none: where a rank did
not take part in a collective, both would wait for ever.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.device_mesh import DeviceMesh

from tessera.nn.lora import LoRAConfig
from tessera.train.parallel.config import Parallel
from tessera.train.parallel.mesh import ProcessMesh, arrange
from tessera.train.parallel.norm import total_norm
from tessera.train.parallel.ranks import ALONE, Ranks
from tessera.train.parallel.tensor import share_matrices
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule
from tessera.train.update.wrapping import wrap
from tessera.train.watch.journal import read_answers, read_reports
from tests.train import tiny
from tests.train.parallel import pair

APART = {
    # Other sums: AdamW makes a part of a step of what is noise, such as the gradient of a key's bias.
    "matrices shared": (1e-6, 2e-5),
    # It makes matrices orthogonal in bfloat16, where a last digit may tip over.
    "sharded, Muon with a mean": (5e-5, 5e-4),
    # A gradient is rounded per rank, not per batch.
    "sharded in bfloat16": (5e-3, 4e-3),
}
"""Relative, of losses and norms, and absolute, of weights, where they are not 1e-6 and 1e-5 (of 4e-3 that
four steps go: a key's bias moves by noise alone)."""


@pytest.mark.parametrize("case", pair.CASES)
def test_two_processes_take_the_steps_of_one(case: str, two: tuple[Path, str]) -> None:
    """Losses, norms and weights to 1e-6 or nearly."""
    folder, said = two
    assert (folder / f"{case}.safetensors").is_file(), said
    found, expected = load_file(folder / f"{case}.safetensors"), pair.alone(case)
    assert found.keys() == expected.keys()
    figures, weights = APART.get(case, (1e-6, 1e-5))
    torch.testing.assert_close(found.pop("told"), expected.pop("told"), rtol=figures, atol=0)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=weights, msg=name)


@pytest.mark.parametrize("case", pair.PREFERENCES)
def test_two_processes_prefer_as_one(case: str, two: tuple[Path, str], tmp_path: Path) -> None:
    """Rewards of both are in the running mean before it is used; figures are those of all pairs."""
    folder, said = two
    assert (folder / f"{case}.safetensors").is_file(), said
    found, expected = load_file(folder / f"{case}.safetensors"), pair.preferences(ProcessMesh(), tmp_path)
    torch.testing.assert_close(found.pop("told"), expected.pop("told"), rtol=1e-5, atol=1e-6)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=2e-5, msg=name)


def test_a_model_that_is_shared_out_answers_and_caches(two: tuple[Path, str], tmp_path: Path) -> None:
    """Answers are of any length, given by one process; a cache passes by a ViT that two put together."""
    assert (two[0] / "asked/1_full").is_dir(), two[1]
    alone = list(pair.asked(tmp_path).run())
    losses = [report.loss for report in read_reports(two[0] / "asked")]
    assert losses == pytest.approx([report.loss for report in alone], rel=1e-5)
    found, expected = (list(read_answers(folder)) for folder in (two[0] / "asked", tmp_path))
    assert found[:2] == expected[:2]  # then Muon's noise may decide between two words
    assert [told.step for told in found] == [told.step for told in expected] == [1, 3, 1, 3]
    assert all(told.answers.asked == {"clock": 3, "count": 3} for told in found)
    kept = [(folder / "cache").glob("*/process*/states.bin") for folder in (two[0] / "asked", tmp_path)]
    shared, own = ([file.stat().st_size for file in files] for files in kept)
    assert len(shared) == 2 and max(shared) < own[0] <= sum(shared)


def test_work_on_whole_matrices_is_dealt(two: tuple[Path, str]) -> None:
    """Each is computed once, the largest apart from the others."""
    found = [load_file(two[0] / f"dealt-{rank}.safetensors") for rank in (0, 1)]
    computed = [sorted(parts.pop("computed").tolist()) for parts in found]
    assert computed == [[64], [1, 3, 7, 8]]
    for number, matrix in enumerate(pair.matrices()):
        torch.testing.assert_close(torch.cat([parts[str(number)] for parts in found]), matrix.cumsum(0))


def test_a_fine_tune_asks_and_is_merged(two: tuple[Path, str]) -> None:
    """Both processes wrote the recipe, one had renamed it away under the other; and nothing was asked."""
    out = two[0] / "tune"
    assert (out / "merged/model.safetensors").is_file(), two[1]
    (told,) = read_answers(out)
    assert told.answers.asked == {"records": 1}


def test_numbers_that_do_not_make_the_processes_are_named() -> None:
    with pytest.raises(ValueError, match=r"shard 3 x replicate 1 x sequence 1 x tensor 1 does not make 2"):
        arrange(Parallel(shard=3), Ranks(0, 2), tiny.CPU)
    with pytest.raises(ValueError, match=r"shard auto x replicate 3 .* does not make 4 processes"):
        arrange(Parallel(replicate=3), Ranks(0, 4), tiny.CPU)
    with pytest.raises(ValueError, match="sequence 2 and tensor 2 both share the heads"):
        arrange(Parallel(sequence=2, tensor=2), Ranks(0, 4), tiny.CPU)
    with pytest.raises(ValueError, match="two towers are not sharded"):
        arrange(Parallel(shard=2), Ranks(0, 2), tiny.CPU, shardable=False)
    assert arrange(Parallel(), Ranks(0, 2), tiny.CPU, shardable=False).weights is None
    assert arrange(Parallel(), ALONE, tiny.CPU).data == ALONE
    with pytest.raises(ValueError, match="stage 'a': accumulate = 3 packs a step can't be shared by the 2"):
        arrange(Parallel(), Ranks(0, 2), tiny.CPU, shardable=False).require_shared("a", 3)


def test_matrices_that_cannot_be_shared_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model()
    monkeypatch.setattr(DeviceMesh, "size", lambda self: 3)
    mesh = object.__new__(DeviceMesh)
    with pytest.raises(ValueError, match=r"parallel\.tensor = 3 does not divide \d+ attention heads"):
        share_matrices(model.decoder, mesh)
    monkeypatch.setattr(DeviceMesh, "size", lambda self: 1)
    rule = Rule(pattern=r"layers\.0\.mlp", learning_rate=1.0, lora=LoRAConfig())
    wrap(model.decoder, (rule, Rule(pattern=".")), 0, Masters())
    with pytest.raises(ValueError, match=r"layer 0, mlp\.gate_proj is LoRALinear; only plain matrices"):
        share_matrices(model.decoder, mesh)


def test_the_norm_of_whole_gradients_is_theirs() -> None:
    gradients = [torch.full((3, 2), 2.0), torch.full((5,), 1.0, dtype=torch.bfloat16)]
    assert float(total_norm(gradients)) == pytest.approx((4 * 6 + 5) ** 0.5)
