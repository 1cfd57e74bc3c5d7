"""The kernels' arithmetic without a device: by Triton's interpreter, in a process that asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from tests.nn.cuda import cases

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
here = pytest.mark.skipif(not INTERPRETED, reason="is run by the last test, in a process of its own")


@here
@cases.each_count
def test_products(count: int) -> None:
    cases.check_products(count, torch.float32, "cpu")


@here
@pytest.mark.parametrize("shape, normed", zip(cases.SHAPES, (True, False, True), strict=True), ids=str)
def test_tokens(shape: cases.Shape, normed: bool) -> None:
    cases.check_tokens(shape, (5, 0, 70), normed, torch.float32, "cpu")


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed; PyTorch brings it for CUDA")
@pytest.mark.skipif(INTERPRETED, reason="this is that process")
def test_all_of_them_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:xdist", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
