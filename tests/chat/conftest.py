"""Real tokenizers, read once."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tessera.chat.tokenizer import Tokenizer, load_tokenizer

GetTokenizer = Callable[[str], Tokenizer]


@pytest.fixture(scope="session")
def tokenizer_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tokenizer by name; Phi-3's is put together from LLaMA's model and its own config."""

    @functools.cache
    def find(name: str) -> Path:
        root = shared_data / "tokenizers"
        if name not in ("phi3", "qwen3"):
            return root / name
        folder = tmp_path_factory.mktemp(name)
        shutil.copy(root / name / "tokenizer_config.json", folder)
        parts = {"phi3": ["llama2/tokenizer.model"], "qwen3": ["qwen2_5/vocab.json", "qwen2_5/merges.txt"]}
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
