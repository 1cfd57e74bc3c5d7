"""Fixtures for the whole suite: one thread, and the places tests may read."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from tessera.chat.tokenizer import Tokenizer, load_tokenizer

REPO_ROOT = Path(__file__).resolve().parents[1]

# The models are tiny: one thread is fastest, and sums come out in the same order on every machine.
torch.set_num_threads(1)
# Other work on the machine may hold up any example; two runs of the suite try the same ones.
settings.register_profile(
    "tessera", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tessera")


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[Path]:
    """Indexes of test data go to a folder of their own, not to the user's cache."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESSERA_CACHE", folder)
        yield Path(folder)


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


GetTokenizer = Callable[[str], Tokenizer]


@pytest.fixture(scope="session")
def tokenizer_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tokenizer by name; some are put together from another's pieces."""

    @functools.cache
    def find(name: str) -> Path:
        root = shared_data / "tokenizers"
        qwen = ["qwen2_5/vocab.json", "qwen2_5/merges.txt"]
        parts = {"phi3": ["llama2/tokenizer.model"], "qwen2": qwen, "qwen3": qwen}
        if name not in parts:
            return root / name
        folder = tmp_path_factory.mktemp(name)
        config = json.loads((root / name.replace("qwen2", "qwen2_5") / "tokenizer_config.json").read_text())
        if name == "qwen2":  # the three tokens of the first Qwen2 models, and nothing else
            config["added_tokens_decoder"] = dict(list(config["added_tokens_decoder"].items())[:3])
            config["additional_special_tokens"] = ["<|im_start|>", "<|im_end|>"]
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        for part in parts[name]:
            shutil.copy(root / part, folder)
        return folder

    return find


@pytest.fixture(scope="session")
def real_tokenizer(tokenizer_folder: Callable[[str], Path]) -> GetTokenizer:
    """A released tokenizer by name, with the nine tokens."""

    @functools.cache
    def load(name: str) -> Tokenizer:
        return load_tokenizer(tokenizer_folder(name)).with_added()

    return load
