"""One start of two processes for all tests of this folder: most of its time is the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.parallel import pair


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What two processes computed, a file a case; folders of an undisturbed run, and of one whose second rank
    was killed; and what they said."""
    folder = tmp_path_factory.mktemp("two")
    cases = (
        *pair.CASES,
        *pair.PREFERENCES,
        "dealt",
        "contrasted",
        "asked",
        "tune",
        "whole",
        "background:1 2",
    )
    said = pair.launch(folder, *cases, ends_well=False)
    return folder, said
