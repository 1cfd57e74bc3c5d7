"""The tour runs: every `>>>` line of docs/tour.md gives the value printed under it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path


def test_tour_is_true(repo_root: Path) -> None:
    text = (repo_root / "docs" / "tour.md").read_text(encoding="utf-8")
    plain = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(plain, {}, "tour", "docs/tour.md", 0)
    assert len(test.examples) > 40
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)
