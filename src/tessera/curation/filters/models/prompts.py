"""Prompts for the model: text files, shipped with the package and replaceable one by one.

The prompts of InternVL2.5 are not public (facts 12); these are our own. In a file `{sample}` stands for the
conversation and `{fence}` for a line that can't occur in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from tessera.curation.filters.domains import DOMAINS

PROMPT_FILES = ("domain", "repetition", *(f"quality_{domain}" for domain in DOMAINS))
MARKS = ("{sample}", "{fence}")


def load_prompts(folder: Path | None = None) -> dict[str, str]:
    """Name -> text of all prompts, those of the folder before those of the package.

    ValueError for a file that isn't one of `PROMPT_FILES`, or lacks {sample} or {fence}.
    """
    texts = {
        name: (files("tessera") / "assets" / "filters" / f"{name}.txt").read_text("utf-8")
        for name in PROMPT_FILES
    }
    if folder is None:
        return texts
    if not folder.is_dir():
        raise ValueError(f"prompts: no folder {folder}; correct the path")
    for file in sorted(folder.glob("*.txt")):
        if file.stem not in PROMPT_FILES:
            raise ValueError(
                f"prompts: {file}: the name is not known; choose among {', '.join(PROMPT_FILES)}"
            )
        text = file.read_text(encoding="utf-8")
        if missing := [mark for mark in MARKS if mark not in text]:
            raise ValueError(
                f"prompts: {file}: {' and '.join(missing)} is missing; write it where it shall stand"
            )
        texts[file.stem] = text
    return texts


def fill(prompts: Mapping[str, str], name: str, sample: str) -> str:
    """A prompt with its conversation, between fences that it can't close: they hold its hash."""
    fence = "=====" + hashlib.blake2b(sample.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    # One pass, so that marks inside the conversation stay as they are.
    return re.sub(
        "|".join(map(re.escape, MARKS)), lambda mark: sample if mark[0] == MARKS[0] else fence, prompts[name]
    )
