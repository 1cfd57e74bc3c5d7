"""The authors' Python files beside an official checkpoint, for `AutoModel` with `trust_remote_code`.

None of them ships here and none is ever run: they are copied from a folder of a released model, and
`auto_map` of its config.json says which class opens what.
"""

import shutil
from pathlib import Path

from tessera.checkpoints.description import CONFIG_FILE, LayoutName
from tessera.families.family import Family
from tessera.runtime.json_file import Section, read_object, write_json
from tessera.runtime.shown import shown

NEEDED = ("AutoConfig", "AutoModel")
MOST_BYTES = 2**20
OPENED_BY: dict[LayoutName, str] = {
    "official": "Tessera, LMDeploy, vLLM, SGLang; AutoModel with trust_remote_code does not open it: it "
    "needs the authors' Python files, --remote-code FOLDER takes them from a released model",
    "transformers": "transformers (InternVLForConditionalGeneration), vLLM, Tessera",
    "tessera": "Tessera",
}
WITH_CODE = "AutoModel with trust_remote_code, LMDeploy, vLLM, SGLang, Tessera"


def openers(family: Family, layout: LayoutName) -> str:
    """Who opens a checkpoint of this layout without the authors' files."""
    return family.declaration.opened_by.get(layout, OPENED_BY[layout])


def find_remote_code(folder: Path) -> tuple[dict[str, str], list[Path]]:
    """`auto_map` of a folder and its Python files. ValueError when a class or the file of one is missing."""
    table = Section.of(folder / CONFIG_FILE).section("auto_map")
    files = sorted(path for path in folder.glob("*.py") if path.is_file())
    if large := [path for path in files if path.stat().st_size > MOST_BYTES]:
        raise ValueError(f"remote_code: {shown(large[0])} is larger than any model's code")
    there = {path.stem for path in files}
    for name in dict.fromkeys((*NEEDED, *table)):
        module = table.text(name).rpartition(".")[0]
        if module not in there:
            raise table.wrong(name, f"remote_code needs {shown(module, bare=True)}.py in this folder")
    return {name: table.text(name) for name in table}, files


def add_remote_code(folder: Path | None, target: Path, layout: LayoutName) -> None:
    """Copy the files and name their classes in the target's config.json; None: nothing to do.

    Raises ValueError for another layout.
    """
    if folder is None:
        return
    if layout != "official":
        raise ValueError(f"remote_code: layout {layout!r} needs none; give layout official")
    table, files = find_remote_code(folder)
    for path in files:
        shutil.copyfile(path, target / path.name)
    config = target / CONFIG_FILE
    write_json(config, read_object(config) | {"auto_map": table})
