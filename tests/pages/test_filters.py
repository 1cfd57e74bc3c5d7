"""The filters of a page, in a browser: only cards with the chosen tags are shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tessera.pages.blocks import SampleCard, SampleCards, TextComparison
from tessera.pages.page import HtmlPage, render, write_page
from tests.pages.markup import check_well_formed

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is absent: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = ('a "quoted" & <tag>', "b")


def page() -> HtmlPage:
    cards = [SampleCard((f"card {n}",), tags=("right", NAMES[n % 2])) for n in range(4)]
    blocks = [SampleCards(cards), SampleCards([SampleCard(("untagged",))])]
    compared = TextComparison(("compared",), "asked", (), tags=("wrong", NAMES[0]))
    return HtmlPage(
        "Page", "", [("Cards", [*blocks, compared])], {"verdict": ("right", "wrong"), "kind": NAMES}
    )


def test_markup() -> None:
    text = render(page())
    check_well_formed(text)
    assert text.count('data-tag0="right"') == 4 and "script-src 'unsafe-inline'" in text
    plain = render(HtmlPage("Page", "", page().sections))
    assert "script" not in plain and "data-filter" not in plain


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_choosing(tmp_path: Path) -> None:
    file = write_page(tmp_path / "page.html", page())
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened, wrong = browser.new_page(), list[str]()
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("console", lambda said: wrong.append(said.text))
        opened.goto(file.as_uri())
        told = [opened.inner_text("#told")]
        for place, choice in ((0, "right"), (1, NAMES[0]), (0, "wrong"), (1, NAMES[1]), (0, "")):
            opened.select_option(f"select[data-filter='{place}']", choice)
            told.append(opened.inner_text("#told"))
        visible = [card.inner_text() for card in opened.query_selector_all("article") if card.is_visible()]
        browser.close()
    assert told == [f"{shown} of 5 shown" for shown in (5, 4, 2, 1, 0, 2)]
    assert visible == ["card 1", "card 3", "untagged"] and not wrong
