"""docs/open.md is true: its blocks run, its commands run, and its two columns feed a model the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import tessera
from tessera.checkpoints.shipped import FOLDERS, assets_folder
from tessera.cli.main import main
from tessera.engine.chat_model import ChatModel, Prompt
from tests.docs.model_card import Asked, CardModel, asked, card_names
from tests.docs.pages import HUB_NAME, ROOT, blocks, commands, stand_in, workplace

PAGE = ROOT / "docs" / "open.md"
ROW = re.compile(r"<tr><td>(.*?)</td><td>\n\n```python\n(.*?)```\n\n</td><td>\n\n```python\n(.*?)```", re.S)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
COLUMNS = {code for row in ROWS for code in row[1:]}
TESSERA = [words[1:] for words in commands(PAGE)]

pytestmark = pytest.mark.skipif(
    not (assets_folder() / FOLDERS["model"]).is_dir(), reason="this checkout carries no trained model"
)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with workplace(tmp_path_factory.mktemp("open")) as place:
        yield place


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped model in place of the page's, with the tile limit of the released ones."""
    load = stand_in(assets_folder() / FOLDERS["model"])
    monkeypatch.setattr(tessera, "load", lambda *given, **named: with_card_limit(load(*given, **named)))


def with_card_limit(model: ChatModel) -> ChatModel:
    """The model with the tile limit that the released models have."""
    tiling = model.family.tiling.model_copy(update={"max_tiles": 12})
    family = model.family.model_copy(update={"tiling": tiling})
    return ChatModel(replace(model.loaded, family=family, encoder=family.encoder(model.tokenizer)))


def test_the_table_has_its_rows() -> None:
    assert [row[0].split()[0] for row in ROWS] == (
        ["open", "text", "one", "several", "several", "several", "video", "a", "streaming", "int8", "several"]
    )


def test_both_columns_feed_the_same(shipped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row after row: ids and tiles that the cards' code feeds are those that ours feeds; answers too."""
    heard: list[Asked] = []
    encode = ChatModel._prompt

    def listen(model: ChatModel, ask: Any) -> Prompt:
        prompt = encode(model, ask)
        heard.append(asked(prompt.encoded))
        return prompt

    monkeypatch.setattr(ChatModel, "_prompt", listen)
    card: dict[str, Any] = card_names(tessera.load(HUB_NAME)) | {"Thread": waited(Thread)}
    ours: dict[str, Any] = {"tessera": tessera}
    for what, left, right in ROWS:
        heard.clear()
        exec(left, card)
        exec(right, ours)
        spoken: CardModel = card["model"]
        assert heard == spoken.asked, what
        for name in ("response", "responses", "history"):
            assert ours.get(name) == card.get(name), (what, name)
        assert bool(heard) == (what.split()[0] not in ("open", "int8") and what != "several GPUs"), what
        spoken.asked.clear()


def waited(kind: type[Thread]) -> Any:
    """Threads that are done when `start` returns, so that what they asked can be looked at."""

    class Waited(kind):  # type: ignore[valid-type, misc]
        def start(self) -> None:
            super().start()
            self.join()

    return Waited


def test_python_blocks_run(shipped: None, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"path": HUB_NAME}
    for code in (code for code in blocks(PAGE, "python") if code not in COLUMNS):
        exec(code, names)
    shown = capsys.readouterr().out
    assert "scale_model · tessera layout" in shown and "<img><IMG_CONTEXT>*" in shown
    assert len(names["answers"]) == 4
    assert [message["role"] for message in names["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("words", TESSERA, ids=lambda words: " ".join(words)[:60])
def test_commands_run(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    there = str(assets_folder() / FOLDERS["model"])
    shorter = ["--max-new-tokens", "4"] if words[0] == "chat" else []
    assert main([there if word == HUB_NAME else word for word in words] + shorter) == 0
    assert capsys.readouterr().out.strip()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
