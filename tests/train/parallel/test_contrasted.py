"""Two processes contrast their pictures with each other's, and take the steps of one with all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tessera.train.watch.journal import read_reports
from tests.train.parallel import pair


def test_two_processes_contrast_as_one(two: tuple[Path, str], tmp_path: Path) -> None:
    """Losses and weights: gradients come back to the rows of the process that made them."""
    folder, said = two
    assert (folder / "contrasted/1_retrieval").is_dir(), said
    alone = [report.loss for report in pair.contrasted(tmp_path, 1).run()]
    assert [report.loss for report in read_reports(folder / "contrasted")] == pytest.approx(alone, rel=1e-5)
    for stage in ("0_contrast", "1_retrieval"):
        found, expected = (
            load_file(place / stage / "model.safetensors") for place in (folder / "contrasted", tmp_path)
        )
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=5e-5, msg=name)
