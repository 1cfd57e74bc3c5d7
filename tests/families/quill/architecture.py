"""The declaration: all that the package is told about the made-up family."""

from __future__ import annotations

from tessera.families.architecture import Architecture
from tests.families.quill import layout
from tests.families.quill.config import QuillConfig
from tests.families.quill.prompt import TEMPLATE, TOKENS

QUILL = Architecture(
    name="quill",
    config=QuillConfig,
    layouts={"official": layout},
    templates={TEMPLATE.name: TEMPLATE},
    tokens=TOKENS,
)
