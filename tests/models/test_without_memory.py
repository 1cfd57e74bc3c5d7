"""Models to be filled from files: no memory, and above all no import of torch's compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from tessera.families.catalogue import get_family
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM

SOURCE = Path(__file__).resolve().parents[2] / "src"


def test_shapes_without_memory() -> None:
    with without_memory():
        model = VLM(get_family("InternVL3-78B").model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 70e9
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert torch.empty(1).device.type == "cpu"


def test_no_compiler_is_imported() -> None:
    """Drawing starting values on the meta device imported torch._dynamo, half of opening a 1B model."""
    code = (
        "import sys; from tessera.checkpoints.load import empty_model;"
        "from tessera.families.catalogue import get_family; empty_model(get_family('InternVL3-1B'));"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
