"""docs/serve.md names every limit, with defaults, every field of the bodies, and every code of a refusal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tessera.serve.forms.chat import ChatBody
from tessera.serve.forms.fields import HARMLESS
from tessera.serve.media.reader import ServedReader
from tessera.serve.settings import ServeLimits

LISTED = {"echo", "add_generation_prompt"}
"""Told in the text of another field, or without effect."""


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "serve.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(ServeLimits.model_fields) + sorted(HARMLESS))
def test_limits_and_harmless_fields(page: str, name: str) -> None:
    assert f"`{name}`" in page or f"--limits.{name}" in page


@pytest.mark.parametrize("name", sorted(set(ChatBody.model_fields) - LISTED - {"model"}))
def test_fields(page: str, name: str) -> None:
    assert re.search(rf"`{name}`|`{name}\.", page)


def test_codes(page: str) -> None:
    """Codes are looked up in the source: what a client may branch on has to be told."""
    room = Path(ServedReader.__module__.replace(".", "/")).parents[1]
    source = Path(__file__).resolve().parents[2] / "src" / room
    text = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    codes = set(re.findall(r'ApiFault\(\s*\d+, [^)]*?"([a-z]+_[a-z_]+)"', text)) | {"invalid_value"}
    assert len(codes) > 15
    missing = sorted(code for code in codes if f"`{code}`" not in page)
    assert not missing, missing


@pytest.mark.parametrize(
    ("name", "told"),
    [("media", "64"), ("characters", "1,000,000"), ("tiles", "128"), ("choices", "8"), ("parts", "10,000")],
)
def test_defaults(page: str, name: str, told: str) -> None:
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
    assert f"| {told} |" in row and ServeLimits().model_dump()[name] == int(told.replace(",", ""))
