"""The chat page in a real browser: everything a user does on it, once."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine import hearing, tiny
from tests.imaging.clips.drawn_clips import write_clip
from tests.serve.served import NAME, Served, data_address, says, serving, shows, until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is absent: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

PICTURE = tiny.picture(1, 60, 30)
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
DROP = """(address) => {
  const bytes = Uint8Array.from(atob(address.split(",")[1]), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
  return files;
}"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(new_tokens=8) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """The page in a fresh profile. Nothing may go wrong in it, and it asks nothing of anybody else."""
    context = browser.new_context(permissions=["camera", "microphone", "clipboard-read", "clipboard-write"])
    context.set_default_timeout(30_000)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda r: wrong.append(r.url) if not r.url.startswith((served.address, "data:", "blob:")) else 0,
    )
    opened.goto(served.address)
    wait(opened, f"document.title === '{NAME}'")
    yield opened
    context.close()
    assert not [text for text in wrong if "status of 4" not in text]  # refusals are told on the page


def wait(page: Any, expression: str) -> None:
    """Until the expression is true; Playwright's own way evaluates strings in the page, which it forbids."""
    until(lambda: page.evaluate(expression))


def png() -> dict[str, Any]:
    return {
        "name": "noise.png",
        "mimeType": "image/png",
        "buffer": base64.b64decode(data_address(PICTURE).split(",")[1]),
    }


def ask(page: Any, text: str) -> str:
    """Ask and wait for the whole answer."""
    page.fill("#text", text)
    page.press("#text", "Enter")
    return last_answer(page)


def last_answer(page: Any) -> str:
    page.wait_for_selector("#send:not([hidden])")
    page.wait_for_selector("article.assistant:last-child .tools")
    return str(page.locator("article.assistant .said").last.inner_text())


def fake_answer(page: Any, text: str, thought: str = "", finish: str = "stop") -> None:
    """The next answers are this text, two letters a piece."""
    pieces: list[dict[str, Any]] = [{"reasoning_content": thought}] if thought else []
    pieces += [{"content": text[at : at + 2]} for at in range(0, len(text), 2)]
    chunks = [{"choices": [{"delta": piece, "finish_reason": None}]} for piece in pieces]
    chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    page.route(
        "**/v1/chat/completions",
        lambda r: r.fulfill(body=body, headers={"content-type": "text/event-stream"}),
    )


def test_a_picture_is_shown_with_its_tiles_asked_about_and_kept(page: Any, served: Served) -> None:
    page.set_input_files("#files", png())
    page.wait_for_selector("#media .caption")
    prompt = served.alone.encode(says(shows(PICTURE), "how many?"))
    tokens = prompt.ids.tolist().count(served.alone.encoder.context_id)
    page.fill("#text", "how many?")
    wait(page, f"document.querySelector('#size').textContent.includes('{len(prompt.ids)} of')")
    caption = page.inner_text("#media .caption")
    assert caption == f"{len(prompt.tiles)} tiles (2 × 1 + whole), {tokens} tokens"
    assert page.locator("#media svg line").count() == 1, "the cut between two tiles"
    said = ask(page, "how many?")
    alone = served.alone.chat(says(shows(PICTURE), "how many?"), max_new_tokens=8)
    assert "".join(said.split()) == "".join(alone.split()) != ""
    page.reload()
    page.click("#talks .name")
    assert last_answer(page) == said and page.locator("article.user img").count() == 1


def test_masks_of_links_lie_on_their_picture(page: Any) -> None:
    """And a link that became nothing says why; a later turn does not send any of it back."""
    mask = {"picture": 0, "url": data_address(tiny.picture(5, 60, 30))}
    links = [{"token": "[SEG]", "masks": [mask, mask]}, {"token": "[GEN]", "fault": "no decoder"}]
    chunks = [{"delta": {"content": "[SEG]"}, "links": links}, {"delta": {}, "finish_reason": "stop"}]
    body = "".join(f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    stream = {"content-type": "text/event-stream"}
    page.route("**/v1/chat/completions", lambda r: r.fulfill(body=body, headers=stream))
    page.set_input_files("#files", png())
    assert ask(page, "mask it") == "[SEG]"
    assert page.locator("figure.masked svg rect").count() == 2
    assert page.locator("figure.masked img").count() == 1
    assert page.inner_text("article.assistant .fault") == "no decoder"
    with page.expect_request("**/v1/chat/completions") as asked:
        ask(page, "and now?")
    assert asked.value.post_data_json["messages"][1] == {"role": "assistant", "content": "[SEG]"}


def test_dropped_pasted_and_taken_pictures(page: Any) -> None:
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        files = page.evaluate_handle(DROP, data_address(PICTURE))
        page.evaluate(
            "([kind, field, files]) => document.body.dispatchEvent(Object.assign(new Event(kind, "
            "{ bubbles: true, cancelable: true }), { [field]: files }))",
            [event, field, files],
        )
    wait(page, "document.querySelectorAll('#media li').length === 2")
    page.click("#camera")
    wait(page, "document.querySelector('#finder').videoWidth > 0")
    page.click("#shoot-now")
    wait(page, "document.querySelectorAll('#media .caption').length === 3")
    page.click("#media li:first-child .drop-it")
    wait(page, "document.querySelectorAll('#media .caption').length === 2")
    page.set_input_files("#files", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble") == "a.txt is no picture, no clip and no sound"


def test_the_microphone_records_and_the_model_hears(browser: Any) -> None:
    """The browser's stand-in beeps; what it recorded is a file that the server reads."""
    with serving(made=hearing.chat_model, new_tokens=4) as ears:
        page = browser.new_context(permissions=["microphone"]).new_page()
        page.goto(ears.address)
        wait(page, f"document.title === '{NAME}'")
        page.click("#microphone")
        wait(page, "document.querySelector('#microphone').textContent === 'End'")
        page.evaluate("void setTimeout(() => document.querySelector('#microphone').click(), 700)")
        wait(page, "document.querySelectorAll('#media audio').length === 1")
        wait(page, "document.querySelector('#media .caption') !== null")
        tokens = int(page.inner_text("#media .caption").split()[0])
        assert 3 <= tokens <= 100
        ask(page, "what do you hear?")
        assert page.evaluate("document.querySelectorAll('#log audio').length") == 1
        page.context.close()


def test_a_clip_shows_its_frames(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#files", write_clip(tmp_path / "clip.mp4"))
    page.wait_for_selector("#media .caption")
    assert re.fullmatch(r"\d+ frames, \d+ tokens", page.inner_text("#media .caption"))
    assert ask(page, "what moves?") and page.locator("article.user video").count() == 1


def test_what_the_server_refuses_is_told_in_its_words(page: Any) -> None:
    page.set_input_files("#files", {"name": "b.png", "mimeType": "image/png", "buffer": b"not a png"})
    page.wait_for_selector("#trouble:not([hidden])")
    assert "not a readable picture" in page.inner_text("#trouble")
    ask(page, "what is it?")
    assert "not a readable picture" in page.inner_text("article.assistant .fault")


def test_boxes_are_drawn_and_nothing_said_becomes_markup(page: Any) -> None:
    evil = "<img src=x onerror=alert(1)> **bold** `a<b`"
    table = "| a | b |\n|---|---|\n| 1 | <script>alert(2)</script> |"
    boxes = "<ref>the cat</ref><box>[[100, 200, 500, 800]]</box> and [[0, 0, 250, 250], [1, 1, 2, 2000]]"
    fake_answer(
        page, f"{evil}\n\n{table}\n\n- one\n- two\n\n{boxes}\n\n```\ncode\n```", thought="let me <b>see</b>"
    )
    page.set_input_files("#files", png())
    page.wait_for_selector("#media .caption")
    ask(page, "where?")
    said = page.locator("article.assistant .said")
    assert said.locator("img, script").count() == 0 and "<img src=x onerror=alert(1)>" in said.inner_text()
    assert said.locator("strong").first.inner_text() == "bold" and said.locator("li").count() == 2
    assert said.locator("td").all_inner_texts() == ["1", "<script>alert(2)</script>"]
    assert said.locator("pre").inner_text() == "code"
    assert "let me <b>see</b>" in page.locator(".thought").text_content()
    rects = page.locator("figure.boxed rect")
    assert rects.count() == 2, "a box outside of the picture is none"
    found = [rects.first.get_attribute(name) for name in ("x", "y", "width", "height")]
    assert found == ["100", "200", "400", "600"]
    assert page.locator("figure.boxed .label").first.inner_text() == "the cat"


def test_stop_continue_regenerate_edit(page: Any, served: Served) -> None:
    first = ask(page, "how many?")
    talk = served.alone
    assert "cut off" in page.inner_text("article.assistant .tools")
    page.click("text=Continue")
    whole = last_answer(page)
    assert len(whole) > len(first)
    page.click("text=Regenerate")
    assert last_answer(page) == first, "the best tokens are the same again"
    page.click("text=Edit")
    page.fill("article.user textarea", "is it red?")
    page.press("article.user textarea", "Enter")
    wait(page, "document.querySelector('article.user .body')?.textContent === 'is it red?'")
    other = talk.chat("is it red?", max_new_tokens=8)
    assert "".join(last_answer(page).split()) == "".join(other.split())
    page.route("**/v1/chat/completions", lambda route: None)  # an answer that never comes
    page.fill("#text", "how many?")
    page.press("#text", "Enter")
    page.wait_for_selector("#stop:not([hidden])")
    page.press("#text", "Escape")
    last_answer(page)
    assert "stopped" in page.locator("article.assistant .tools").last.inner_text()


def test_settings_and_copies_ask_the_same(page: Any, served: Served) -> None:
    page.click("#open-settings")
    values = {"system": "be 'short'", "temperature": "0.7", "top_k": "5", "seed": "3", "max_tokens": "6"}
    for name, value in values.items():
        page.fill(f"[name={name}]", value)
    page.select_option("[name=detail]", "low")
    page.click("text=Done")
    page.set_input_files("#files", png())
    wait(page, "document.querySelector('#media .caption')?.textContent.startsWith('1 tile')")
    with page.expect_request("**/v1/chat/completions") as asked:
        said = ask(page, "how many?\nEND")
    body = asked.value.post_data_json
    assert (body["temperature"], body["top_k"], body["seed"], body["max_tokens"]) == (0.7, 5, 3, 6)
    assert body["messages"][0] == {"role": "system", "content": "be 'short'"}
    assert body["messages"][1]["content"][0]["image_url"]["detail"] == "low"
    page.click("#copy-python")
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(page.evaluate("navigator.clipboard.readText()"), {})
    assert "".join(printed.getvalue().split()) == "".join(said.split()) != ""
    page.click("#copy-curl")
    command = page.evaluate("navigator.clipboard.readText()")
    head, _, given = command.partition("<<'END'\n")
    assert head.startswith(f"curl {served.address}/v1/chat/completions ")
    sent = json.loads(given.removesuffix("\nEND\n"))
    assert sent == {name: value for name, value in body.items() if not name.startswith("stream")}
    page.reload()
    page.click("#open-settings")
    assert page.input_value("[name=system]") == values["system"], "kept in the browser"


def test_conversations_are_named_saved_loaded_and_deleted(page: Any, tmp_path: Path) -> None:
    ask(page, "how many?")
    page.click("#talks .tool >> nth=0")
    page.fill("#talks input", "Circles")
    page.press("#talks input", "Enter")
    page.wait_for_selector("#talks .name >> text=Circles")
    with page.expect_download() as saved:
        page.click("#export")
    file = tmp_path / "talks.json"
    saved.value.save_as(file)
    page.once("dialog", lambda question: question.accept())
    page.click("#talks .tool >> nth=1")
    wait(page, "!document.querySelector('#talks li')")
    page.set_input_files("#import-file", file)
    page.wait_for_selector("#talks .name >> text=Circles")
    broken = json.loads(file.read_text())
    broken["talks"][0]["turns"][0]["media"] = [
        {"kind": "image", "name": "x", "url": "https://example.org/x.png"}
    ]
    file.write_text(json.dumps(broken))
    page.set_input_files("#import-file", file)
    page.wait_for_selector("#trouble:not([hidden])")
    assert "1 of 1 conversations are damaged" in page.inner_text("#trouble")
    page.press("body", "Alt+n")
    page.wait_for_selector(".welcome")


def test_a_phone(browser: Any, served: Served) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 640}, color_scheme="dark")
    page = context.new_page()
    page.goto(served.address)
    page.set_input_files("#files", png())
    page.wait_for_selector("#media .caption")
    ask(page, "how many circles are there in this picture, and what is left of the blue square?")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.click("#menu")
    page.click("#talks .name")
    wait(page, "!document.querySelector('#side').classList.contains('open')")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(23, 22, 20)"
    context.close()


def test_a_server_with_keys(browser: Any) -> None:
    with serving(keys=("a long secret".replace(" ", "-"),)) as server:
        page = browser.new_context().new_page()
        page.goto(server.address)
        page.wait_for_selector("#settings[open]")
        page.fill("[name=key]", "a-long-secret")
        page.press("[name=key]", "Enter")
        wait(page, f"document.title === '{NAME}'")
        assert page.locator("#trouble").is_hidden()
        page.context.close()


def test_files_and_headers(served: Served) -> None:
    page = httpx.get(served.address, headers={"accept": "text/html"}, trust_env=False)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "endpoints" in served.http.get("/").json()
    assert served.http.get("/page/main.js").headers["content-type"].startswith("text/javascript")
    for name in ("nothing.js", "..%2froutes.py", "%2e%2e%2froutes.py", "routes.py", "__init__.py"):
        assert served.http.get(f"/page/{name}").status_code == 404, name
