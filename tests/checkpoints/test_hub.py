"""Names become folders: as given, from the hub's cache on disk, by a download, or not at all with a list."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from tessera.checkpoints import hub
from tessera.checkpoints.hub import find_checkpoint, hub_name, lacking
from tessera.checkpoints.shipped import shipped_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "OpenGVLab/InternVL3-1B"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache and no network; a test may bring its own download."""
    root = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return root


def fill(folder: Path, *, shards: int = 2, left_out: str = "") -> Path:
    """The names of a checkpoint's files, without content."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    index = {"weight_map": {f"key{i}": name for i, name in enumerate(names)}}
    for name in ("config.json", "tokenizer.json", *names):
        if name != left_out:
            (folder / name).touch()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def cached(root: Path, name: str = NAME, commit: str = COMMIT, ref: str = "main", **more: Any) -> Path:
    """A snapshot as the hub's tools lay it out."""
    home = root / ("models--" + name.replace("/", "--"))
    (home / "refs").mkdir(parents=True, exist_ok=True)
    if ref:
        (home / "refs" / ref).write_text(commit)
    return fill(home / "snapshots" / commit, **more)


class Hub(SimpleNamespace):
    """Stands for the library's download: writes the files that the patterns allow, or raises."""

    def __init__(self, folder: Path, *files: str, error: Exception | None = None) -> None:
        super().__init__(calls=[])
        self.folder, self.files, self.error = folder, files, error

    def __call__(self, name: str, **options: Any) -> str:
        self.calls.append((name, options))
        if self.error is not None:
            raise self.error
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            if any(Path(file).match(pattern) for pattern in options["allow_patterns"]):
                (self.folder / file).touch()
        return str(self.folder)


def test_folders_are_taken_as_they_are(tmp_path: Path, cache: Path) -> None:
    assert find_checkpoint(tmp_path) == tmp_path
    assert find_checkpoint(str(tmp_path)) == tmp_path
    (tmp_path / "weights.bin").touch()
    with pytest.raises(ValueError, match="is a file: give the folder"):
        find_checkpoint(tmp_path / "weights.bin")


def test_a_folder_here_wins_over_the_hub(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(cache)
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir(parents=True)
    assert find_checkpoint(NAME) == Path(NAME)


def test_the_shipped_model_has_a_name(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of that name still wins."""
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("shipped") == shipped_folder()
    (tmp_path / "shipped").mkdir()
    assert find_checkpoint("shipped") == Path("shipped")


@pytest.mark.parametrize("name", [NAME, "InternVL3-1B"])
def test_complete_snapshots_need_no_network(name: str, cache: Path) -> None:
    folder = cached(cache)
    assert find_checkpoint(name) == folder


def test_a_vit_alone_needs_no_tokenizer(cache: Path) -> None:
    """As a part it is found; as a model the catalogue says what it is."""
    name = "OpenGVLab/InternViT-300M-448px"
    folder = cached(cache, name, left_out="tokenizer.json")
    assert find_checkpoint(name, alone=True) == folder
    with pytest.raises(ValueError, match="is a ViT alone"):
        find_checkpoint(name)
    cached(cache, "Qwen/Qwen2.5-0.5B", left_out="config.json")
    with pytest.raises(ValueError, match="Needed: config.json. Put"):
        find_checkpoint("Qwen/Qwen2.5-0.5B", alone=True)


def test_revisions(cache: Path) -> None:
    """A branch through refs, a commit by its name; main is the default."""
    main = cached(cache)
    older = cached(cache, commit="f" * 40, ref="v1.0")
    assert find_checkpoint(NAME) == main
    assert find_checkpoint(NAME, "v1.0") == find_checkpoint(NAME, "f" * 40) == older
    with pytest.raises(ValueError, match="no copy in"):
        find_checkpoint(NAME, "v2.0")


def test_a_snapshot_copied_without_refs(cache: Path) -> None:
    only = cached(cache, ref="")
    assert find_checkpoint(NAME) == only
    cached(cache, commit="e" * 40, ref="")
    with pytest.raises(ValueError, match="no copy in"):
        find_checkpoint(NAME)  # which of the two would be a guess


def test_what_is_missing_is_named(cache: Path) -> None:
    folder = cached(cache, left_out="model-00002-of-00002.safetensors")
    with pytest.raises(ValueError) as caught:
        find_checkpoint(NAME)
    message = str(caught.value)
    assert f"{folder} is incomplete" in message and "model-00002-of-00002.safetensors" in message
    assert "cannot be downloaded" in message and "model-00001" not in message


def test_nothing_there_lists_all_files_and_where_they_go(cache: Path) -> None:
    with pytest.raises(ValueError) as caught:
        find_checkpoint("InternVL3-1B")
    message = str(caught.value)
    assert all(name in message for name in hub.ALL_FILES)
    assert f"{cache}/models--OpenGVLab--InternVL3-1B" in message and f"hf download {NAME}" in message
    assert "\n" not in message


def test_download(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Hub(tmp_path / "new", "config.json", "tokenizer.json", "model.safetensors", "modeling.py", "a.bin")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    assert find_checkpoint("InternVL3-1B", "main") == tmp_path / "new"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    (name, options), *more = fake.calls
    assert (
        name == NAME and options["revision"] == "main" and "*.py" in options["ignore_patterns"] and not more
    )


def test_pickles_are_fetched_only_where_there_is_nothing_else(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Hub(tmp_path / "new", "config.json", "tokenizer.model", "pytorch_model.bin")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    assert lacking(find_checkpoint(NAME)) == []
    assert ["*.bin" in options["allow_patterns"] for _, options in fake.calls] == [False, True]


@pytest.mark.parametrize(
    "error", [ConnectionError("offline"), ValueError("bad name"), FileNotFoundError("no")]
)
def test_failed_downloads(
    error: Exception, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(tmp_path / "new", error=error))
    with pytest.raises(ValueError, match=f"cannot be downloaded \\({error}\\)"):
        find_checkpoint(NAME)


def test_the_library_without_a_network(cache: Path) -> None:
    """Its own errors end in our message too."""
    with pytest.raises(ValueError, match="cannot be downloaded .*Needed: config.json"):
        find_checkpoint(NAME)


def test_names() -> None:
    assert hub_name("someone/My-Model_1.0") == "someone/My-Model_1.0"
    assert hub_name("InternVL2_5-8B") == "OpenGVLab/InternVL2_5-8B"
    assert hub_name("InternVL3-1B-hf") == "OpenGVLab/InternVL3-1B-hf"
    assert hub_name("internvl3-1b") == NAME
    with pytest.raises(ValueError, match="no folder 'Intervl3-1B' here; .*InternVL3-1B"):
        hub_name("Intervl3-1B")
    for path in ("a/b/c", "./here", "/tmp/none", "..", ""):
        with pytest.raises(ValueError, match="no such folder"):
            hub_name(path)


def test_a_half_written_index_is_to_be_fetched_again(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": ')
    assert lacking(tmp_path) == ["model.safetensors.index.json"]
