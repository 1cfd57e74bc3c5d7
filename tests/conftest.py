"""Fixtures for the whole suite: one thread, and the places tests may read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

REPO_ROOT = Path(__file__).resolve().parents[1]

# The models are tiny: one thread is fastest, and sums come out in the same order on every machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    """Indexes of test data go to a folder of their own, not to the user's cache."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESSERA_CACHE", folder)
        yield


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout."""
    return REPO_ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real pictures, videos and tokenizers that stay outside the repository; skips when they are absent."""
    folder = REPO_ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real test data is absent: no folder ../shared/data beside the checkout")
    return folder
