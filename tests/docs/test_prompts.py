"""docs/prompts.md is true: its `>>>` lines give what is printed, its commands run, its table is right."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.chat.templates import TEMPLATES
from tessera.checkpoints.load import read_description
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.main import main
from tests.docs.pages import HUB_NAME, ROOT, commands
from tests.docs.pages import workplace as furnished
from tests.peers.doubles import engine_routes, served

PAGE = ROOT / "docs" / "prompts.md"
TESSERA = [words[1:] for words in commands(PAGE)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with furnished(tmp_path_factory.mktemp("prompts")) as folder:
        yield folder


def test_the_page_is_true() -> None:
    plain = re.sub(r"^```.*$", "", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(plain, {}, "prompts", "docs/prompts.md", 0)
    assert len(test.examples) > 15
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


def test_the_table_of_templates() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("\\|", "|")
    for name, template in TEMPLATES.items():
        (row,) = re.findall(rf"^\| `{re.escape(name)}` \|.*$", text, re.MULTILINE)
        for stop in template.stops:
            assert f"`{stop}`" in row


@pytest.mark.parametrize("words", TESSERA, ids=lambda words: " ".join(words)[:70])
def test_commands_run(words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    folder = str(shipped_folder())
    tokenizer = read_description(folder).tokenizer
    with served(engine_routes(lambda _: tokenizer.encode("<|im_start|>user\nWhat is it?"))) as address:
        there = {HUB_NAME: folder, "http://localhost:8000": address}
        code = main([there.get(word, word) for word in words])
    same = "--system" in words  # the one prompt here that does not depend on anyone's own system text
    assert code == (0 if same else 1)
    assert capsys.readouterr().out.strip()
