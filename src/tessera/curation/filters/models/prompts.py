"""Prompts for the model: text files, shipped with the package and replaceable one by one.

The prompts of InternVL2.5 are not public (facts 12); these are our own. In a file `{sample}` stands for the
conversation and `{fence}` for a line that can't occur in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from tessera.curation.filters.domains import DOMAINS

PROMPT_FILES = ("domain", "repetition", *(f"quality_{domain}" for domain in DOMAINS))


def load_prompts(folder: Path | None = None) -> dict[str, str]:
    """Name -> text of all prompts, those of the folder before those of the package.

    ValueError for a file that isn't one of `PROMPT_FILES`, or lacks {sample} or {fence}.
    """
    shipped = files("tessera") / "assets" / "filters"
    texts = {name: (shipped / f"{name}.txt").read_text("utf-8") for name in PROMPT_FILES}
    if folder is None:
        return texts
    if not folder.is_dir():
        raise ValueError(f"prompts: no folder {folder}; correct the path")
    for file in sorted(folder.glob("*.txt")):
        if file.stem not in PROMPT_FILES:
            known = ", ".join(PROMPT_FILES)
            raise ValueError(f"prompts: {file}: the name is not known; choose among {known}")
        text = file.read_text(encoding="utf-8")
        if missing := " and ".join(mark for mark in ("{sample}", "{fence}") if mark not in text):
            raise ValueError(f"prompts: {file}: {missing} is missing; write it where it shall stand")
        texts[file.stem] = text
    return texts


def fill(prompts: Mapping[str, str], name: str, sample: str) -> str:
    """A prompt with its conversation, between fences that it can't close: they hold its hash."""
    fence = "=====" + hashlib.blake2b(sample.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    # The sample comes last, so that marks inside the conversation stay as they are.
    return prompts[name].replace("{fence}", fence).replace("{sample}", sample)
