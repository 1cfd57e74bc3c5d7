"""The page on link tokens: its declaration is one, its record reads, its Python names what is there."""

from __future__ import annotations

import json

from tessera.cli.main import LINK, VERBS
from tessera.engine.links.decoders import LinkRequest, LinkResult
from tessera.engine.links.pictures import PipelineDecoding
from tessera.models.links.config import MASKS, LinkConfig
from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "docs/link.md"


def test_declaration_and_record() -> None:
    declared, choice, record = (json.loads(block) for block in blocks(PAGE, "json"))
    config = LinkConfig.model_validate(declared)
    assert config.masks is not None and config.tokens[0].decoder == MASKS
    assert {"masks", "token", "place", "decoder"} == choice.keys()
    answers = [turn["value"] for turn in record["conversations"] if turn["from"] == "gpt"]
    assert "".join(answers).count(config.tokens[0].token) == len(record["masks"])


def test_commands_and_names() -> None:
    for words in commands(PAGE):
        assert words[0] == "tessera" and words[1] in VERBS
        assert words[1] != "link" or words[2] in LINK
    python = "\n".join(blocks(PAGE, "python"))
    for known in (LinkRequest, LinkResult, PipelineDecoding):
        assert known.__name__ in python
