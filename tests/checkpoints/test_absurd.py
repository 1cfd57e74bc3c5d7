"""Configs and tokenizers that nobody could mean end in a ValueError with file and key, before any memory is
asked for. They were tracebacks (AttributeError, KeyError, RecursionError, ...), and a million layers was an
hour of building."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint
from tessera.engine.chat_model import ChatModel
from tests.checkpoints import kinds

LAYOUTS: tuple[LayoutName, ...] = ("official", "transformers", "tessera")
FILES = {
    "official": ("config.json", "preprocessor_config.json"),
    "transformers": ("config.json", "preprocessor_config.json", "processor_config.json"),
    "tessera": ("tessera.json",),
}
BAD: tuple[Any, ...] = (None, [], {}, [1, 2], "seven", "", -7, 0, 10**12, 10**400, 1e308, float("nan"))
BAD += (float("inf"), True, {"a": {"b": []}}, [[]], "\x00\x1b[31m", 0.1)
Path_ = tuple[str | int, ...]


def paths(value: Any, here: Path_ = ()) -> Iterator[Path_]:
    """Every key of every section, and the first entries of every list."""
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for key, inner in entries:
        yield (*here, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*here, key))


def put(content: Any, path: Path_, value: Any) -> None:
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = copy.deepcopy(value)  # else a later change would put it into itself


def refused_or_opened(folder: Path, about: object) -> bool:
    """Whether it was opened; then it answers. All but a ValueError that names the folder fails the test."""
    started = time.process_time()
    try:
        model = ChatModel(load_checkpoint(folder))
    except ValueError as error:
        assert type(error) is ValueError and folder.name in str(error), (about, error)
        assert "\x1b" not in str(error) and len(str(error)) < 1500, about
        return False
    finally:
        assert time.process_time() - started < 10, about
    # The prompt may be too long for what the config says now.
    with suppress(ValueError):
        model.chat("hi", max_new_tokens=1)
    return True


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[LayoutName, Path]:
    top = tmp_path_factory.mktemp("absurd")
    return {layout: kinds.saved(top / f"toy_{layout}", "phi3", layout) for layout in LAYOUTS}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_key_with_every_wrong_value(layout: LayoutName, folders: dict[LayoutName, Path]) -> None:
    """Every key of every section of both published layouts and our own; a sample of the values each."""
    folder, tried = folders[layout], 0
    for name in FILES[layout]:
        path = folder / name
        sound = path.read_text()
        for number, place in enumerate(paths(json.loads(sound))):
            for value in (BAD[number % len(BAD)], BAD[(number * 7 + 3) % len(BAD)], None):
                content = json.loads(sound)
                put(content, place, value)
                path.write_text(json.dumps(content))
                refused_or_opened(folder, (name, place, value))
                tried += 1
        path.write_text(sound)
    assert tried > 100 and refused_or_opened(folder, "sound again")


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_several_wrong_values_at_once(
    layout: LayoutName, folders: dict[LayoutName, Path], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(FILES[layout]))
    path = folders[layout] / name
    sound = path.read_text()
    content = json.loads(sound)
    try:
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.sampled_from(list(paths(content))))
            put(content, place, data.draw(st.sampled_from(BAD)))
        path.write_text(json.dumps(content))
        refused_or_opened(folders[layout], (name, content))
    finally:
        path.write_text(sound)


SIZES: dict[str, dict[str, int]] = {
    "a million layers": {"num_hidden_layers": 10**6},
    "sixteen thousand layers": {"num_hidden_layers": 16_000},
    "wide": {"hidden_size": 2**20},
    "a large vocabulary": {"vocab_size": 2**24},
    "a large feed-forward": {"intermediate_size": 2**24},
}


@pytest.mark.parametrize(
    ("name", "part"),
    [(name, part) for name in SIZES for part in ("llm_config", "vision_config") if "vocab" not in name]
    + [("a large vocabulary", "llm_config")],
)
def test_a_model_that_the_files_cannot_hold_is_not_built(
    name: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the model was built")

    monkeypatch.setattr("tessera.checkpoints.load.empty_model", never)
    folder = kinds.saved(tmp_path / "toy", "qwen2")
    config = json.loads((folder / "config.json").read_text())
    config[part].update(SIZES[name])
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"toy.*(the files hold|less than or equal)"):
        load_checkpoint(folder)


Change = Callable[[dict[str, Any]], object]
TOKENIZERS: dict[str, tuple[str, Change]] = {
    "an id of 10^9": ("tokenizer.json", lambda c: c["model"]["vocab"].update(zz=10**9)),
    "a negative id": ("tokenizer.json", lambda c: c["model"]["vocab"].update(zz=-1)),
    "an id in words": ("tokenizer.json", lambda c: c["model"]["vocab"].update(zz="three")),
    "no vocabulary": ("tokenizer.json", lambda c: c["model"].update(vocab={})),
    "a vocabulary in a list": ("tokenizer.json", lambda c: c["model"].update(vocab=[["a", 0.5]])),
    "a merge of unknown pieces": ("tokenizer.json", lambda c: c["model"].update(merges=["qq zz"])),
    "merges of three": ("tokenizer.json", lambda c: c["model"].update(merges=[["a", "b", "c"]])),
    "another model": ("tokenizer.json", lambda c: c["model"].update(type="Nonsense")),
    "no model": ("tokenizer.json", lambda c: c.update(model=None)),
    "an added token without id": ("tokenizer.json", lambda c: c["added_tokens"].append({"content": "<a>"})),
    "an added token at 10^9": (
        "tokenizer.json",
        lambda c: c["added_tokens"].append({"content": "<a>", "id": 10**9}),
    ),
    "added tokens in a text": ("tokenizer.json", lambda c: c.update(added_tokens="<a>")),
    "a pre-tokenizer in a number": ("tokenizer.json", lambda c: c.update(pre_tokenizer=7)),
    "a broken pattern": (
        "tokenizer.json",
        lambda c: c.update(
            pre_tokenizer={
                "type": "Split",
                "pattern": {"Regex": "(("},
                "behavior": "Isolated",
                "invert": False,
            }
        ),
    ),
    "a decoder of ids": ("tokenizer_config.json", lambda c: c.update(added_tokens_decoder=[1, 2])),
    "a decoder of words": (
        "tokenizer_config.json",
        lambda c: c.update(added_tokens_decoder={"seven": {"content": "<a>"}}),
    ),
    "a decoder beyond": (
        "tokenizer_config.json",
        lambda c: c.update(added_tokens_decoder={"9" * 20: {"content": "<a>"}}),
    ),
    "a beginning in a list": ("tokenizer_config.json", lambda c: c.update(bos_token=["<s>"])),
    "an unknown beginning": (
        "tokenizer_config.json",
        lambda c: c.update(bos_token="<x>", add_bos_token=True),
    ),
    "special tokens in a number": ("tokenizer_config.json", lambda c: c.update(additional_special_tokens=7)),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_broken_tokenizer_is_named(name: str, tmp_path: Path) -> None:
    file, change = TOKENIZERS[name]
    folder = kinds.saved(tmp_path / "toy", "qwen2")
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="toy/?"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"junk", b"\n\x05hello" * 100, bytes(range(256)) * 50])
def test_a_junk_sentencepiece_model_is_named(content: bytes, tmp_path: Path) -> None:
    folder = kinds.saved(tmp_path / "toy", "qwen2")
    (folder / "tokenizer.model").write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.model is no SentencePiece model"):
        load_checkpoint(folder)
