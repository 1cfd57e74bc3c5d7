"""From a name to a folder: the local hub cache first, then a download where one is possible.

huggingface_hub knows where its cache is and how it lies on disk; it is imported when a name is looked up. A
model that is complete there opens without a network. A download leaves Python files and images behind:
nothing of a checkpoint is ever run.
"""

import re
from pathlib import Path

from tessera.checkpoints import own
from tessera.checkpoints.files.folder import (
    ADAPTER_CONFIG,
    ADAPTER_FILES,
    INDEX,
    INDEX_BIN,
    SINGLE,
    SINGLE_BIN,
    read_index,
)
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import form_in, get_released, require_openable

CONFIG_FILES = ("config.json", own.CONFIG_FILE)
TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json", "vocab.json")
ALL_FILES = (
    "config.json",
    "tokenizer_config.json with tokenizer.model, tokenizer.json or vocab.json + merges.txt",
    "model.safetensors or its shards with model.safetensors.index.json",
)
"""What a checkpoint folder needs, in words."""
WANTED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.md", "LICENSE*", "NOTICE*")
"""What is downloaded; `.bin` weights only where a repository has no safetensors."""
PICKLED = ("*.bin",)
UNWANTED = ("*.py", "*.msgpack", "*.h5", "*.onnx*")


def find_checkpoint(name_or_folder: str | Path, revision: str | None = None, alone: bool = False) -> Path:
    """The folder of a checkpoint, given as a folder, as `owner/name` on the hub, as a catalogue name, or as
    "shipped", the model that comes with the package.

    `revision` is a branch, tag or commit of the hub; None takes `main`. What is complete in the cache is used
    without asking the network. alone: a part of a model, which may have no tokenizer. Raises ValueError
    saying which files are needed and where they may lie.
    """
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"{folder} is a file: give the folder of a checkpoint, or a model's name")
    if str(name_or_folder) == "shipped":
        return shipped_folder()
    repository = hub_name(str(name_or_folder), alone)
    found = cached_snapshot(repository, revision)
    if found is not None and not lacking(found, alone):
        return found
    return _download(repository, revision, found, alone)


def hub_name(name: str, alone: bool = False) -> str:
    """`owner/name` of a model's name; ValueError for what can only be a path, and for unknown names."""
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name):
        if not alone:
            require_openable(name)
        return name
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        try:
            entry = get_released(name)
        except ValueError as error:
            raise ValueError(f"no folder {name!r} here; {error}") from error
        if not alone:
            require_openable(entry.hub)
        return f"{entry.hub}{form_in(name)}"
    raise ValueError(f"{name}: no such folder; give a checkpoint folder, owner/name of the hub, or a name")


def cached_snapshot(repository: str, revision: str | None = None) -> Path | None:
    """The folder of a repository in the local cache, complete or not; None when it is not there."""
    from huggingface_hub import constants, file_download, try_to_load_from_cache

    root = Path(constants.HF_HUB_CACHE)
    for name in (*CONFIG_FILES, ADAPTER_CONFIG):
        found = try_to_load_from_cache(repository, name, cache_dir=root, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    home = root / file_download.repo_folder_name(repo_id=repository, repo_type="model")
    if revision is not None or any((home / "refs").glob("*")):
        return None
    # Copied by hand, without refs: one snapshot is the one that is meant, of two each would be a guess.
    snapshots = [path for path in (home / "snapshots").glob("*") if path.is_dir()]
    return snapshots[0] if len(snapshots) == 1 else None


def lacking(folder: Path | None, alone: bool = False) -> list[str]:
    """What a folder lacks to be opened: config, tokenizer, and every weight file that its index names.

    alone: the tokenizer may be missing."""
    if folder is None:
        return [*ALL_FILES]
    there = {path.name for path in folder.iterdir() if path.is_file()}
    if ADAPTER_CONFIG in there and there.isdisjoint(CONFIG_FILES):
        return [] if there & {*ADAPTER_FILES} else [ADAPTER_FILES[0]]
    needed = zip(
        ALL_FILES, (CONFIG_FILES, TOKENIZER_FILES, (SINGLE, SINGLE_BIN, INDEX, INDEX_BIN)), strict=True
    )
    wanted = [
        words
        for words, names in needed
        if there.isdisjoint(names) and not (alone and names is TOKENIZER_FILES)
    ]
    if index := next((name for name in (INDEX, INDEX_BIN) if name in there), None):
        try:
            shards = set(read_index(folder / index).values())
        except ValueError:
            return [*wanted, index]  # half written: to be fetched again
        wanted += sorted(shards - there)
    return wanted


def _download(repository: str, revision: str | None, found: Path | None, alone: bool) -> Path:
    """Fetch a repository, safetensors first and pickles only where there is nothing else."""
    import httpx  # what huggingface_hub talks with; its errors pass through
    from huggingface_hub import constants, snapshot_download

    for patterns in (WANTED, WANTED + PICKLED):
        try:
            answer = snapshot_download(
                repository,
                revision=revision,
                cache_dir=constants.HF_HUB_CACHE,
                allow_patterns=list(patterns),
                ignore_patterns=list(UNWANTED),
            )
        except (OSError, ValueError, httpx.HTTPError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise _unreachable(repository, found, reason[0]) from error
        if not lacking(folder := Path(answer), alone):
            return folder
    raise _unreachable(repository, folder, "the repository does not hold them")


def _unreachable(repository: str, found: Path | None, reason: str) -> ValueError:
    from huggingface_hub import constants

    name, where = repository.partition("/")[2], constants.HF_HUB_CACHE
    wanted = ", ".join(lacking(found))
    state = f"{found} is incomplete" if found else f"no folder {name!r} here and no copy in {where}"
    return ValueError(
        f"{repository}: {state}, and it cannot be downloaded ({reason}). Needed: {wanted}. Put them into one "
        f"folder and give that folder, or run `hf download {repository}` where there is a network and copy "
        f"{where}/models--{repository.replace('/', '--')}"
    )
