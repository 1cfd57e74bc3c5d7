"""200 damaged checkpoint folders: each answers, or is refused by a file and what is wrong there."""

import json
import random
import shutil
from pathlib import Path

import pytest

import tessera
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tests.engine import tiny
from tests.mutation.damage import damage_bytes, damage_json
from tests.mutation.guard import each, guarded

LAYOUTS = ("official", "transformers", "tessera")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound checkpoint in every layout."""
    top = tmp_path_factory.mktemp("checkpoints")
    for layout in LAYOUTS:
        save_checkpoint(top / layout, tiny.model(), tiny.family(), tiny.tokenizer(), layout)
        load_checkpoint(top / layout)
    return top


def damage(folder: Path, rng: random.Random) -> Path:
    """One file of the folder is damaged: its JSON, its bytes, or as a whole."""
    file = rng.choice(sorted(folder.iterdir()))
    kind = rng.random()
    if kind < 0.1:
        file.unlink()
    elif file.suffix == ".json" and kind < 0.7:
        file.write_text(json.dumps(damage_json(json.loads(file.read_text()), rng)))
    elif file.suffix == ".safetensors" and kind < 0.7:
        _damage_header(file, rng)
    else:
        file.write_bytes(damage_bytes(file.read_bytes(), rng))
    return file


def _damage_header(file: Path, rng: random.Random) -> None:
    """Names, kinds, shapes and places of tensors; the values stay."""
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(damage_json(json.loads(data[8 : 8 + size]), rng)).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])


@each(200, share=8)
def test_damaged_checkpoints(root: Path, number: int) -> None:
    rng = random.Random(number)
    case = root / "case"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(root / rng.choice(LAYOUTS), case)
    file = damage(case, rng)
    with guarded(root):
        try:
            answer = tessera.load(case, device="cpu").chat("hi", max_new_tokens=2)
        except ValueError as error:
            assert str(case) in str(error) or file.name in str(error), str(error)
            return
        assert isinstance(answer, str)
