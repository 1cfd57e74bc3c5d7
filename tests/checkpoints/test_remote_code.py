"""`convert --layout official`: what the card's `AutoModel` needs, or plainly what will not open it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.checkpoints.conversion.convert import convert
from tests.checkpoints import kinds

MAP = {
    "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
    "AutoModel": "modeling_internvl_chat.InternVLChatModel",
}
FILES = ("configuration_internvl_chat.py", "modeling_internvl_chat.py", "conversation.py")


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The code of a released model; it would fail if anybody ran it."""
    folder = tmp_path / "released"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "internvl_chat", "auto_map": MAP}))
    for name in FILES:
        (folder / name).write_text("raise SystemError('it was run')\n")
    return folder


def test_the_files_and_their_classes_are_taken(released: Path, tmp_path: Path) -> None:
    source = kinds.saved(tmp_path / "toy", "qwen2", "tessera")
    done = convert(source, tmp_path / "out", "official", remote_code=released)
    assert json.loads((tmp_path / "out/config.json").read_text())["auto_map"] == MAP
    assert sorted(path.name for path in (tmp_path / "out").glob("*.py")) == sorted(FILES)
    assert done.opened_by.startswith("AutoModel with trust_remote_code,")


def test_without_them_it_says_what_does_not_open_it(tmp_path: Path) -> None:
    """transformers' message would have been about a model_type that it does not know."""
    done = convert(kinds.saved(tmp_path / "toy", "qwen2", "tessera"), tmp_path / "out", "official")
    assert "AutoModel with trust_remote_code does not open it" in done.opened_by
    assert "--remote-code FOLDER" in done.opened_by


WRONG: dict[str, tuple[Any, str]] = {
    "none": (None, "auto_map = null"),
    "a list": ([], r"auto_map = \[\]: an object"),
    "no model": ({"AutoConfig": MAP["AutoConfig"]}, "'AutoModel' is missing"),
    "no file": (MAP | {"AutoModel": "gone.Model"}, r"remote_code needs gone\.py in this folder"),
    "elsewhere": (MAP | {"AutoModel": "../../etc/thing.Model"}, "in this folder"),
    "a number": (MAP | {"AutoModel": 7}, "a text is needed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_without_whole_code_is_refused_first(name: str, released: Path, tmp_path: Path) -> None:
    table, message = WRONG[name]
    (released / "config.json").write_text(json.dumps({"auto_map": table}))
    with pytest.raises(ValueError, match=message):
        convert(kinds.saved(tmp_path / "toy"), tmp_path / "out", "official", remote_code=released)
    assert not (tmp_path / "out").exists()


def test_other_layouts_need_none(released: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="remote_code: layout 'transformers' needs none"):
        convert(kinds.saved(tmp_path / "toy"), tmp_path / "out", "transformers", remote_code=released)
    assert not (tmp_path / "out").exists()
