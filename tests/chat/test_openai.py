"""OpenAI-style messages: parts in order, files, data addresses, bounds, and what is refused."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Message, Text, Video, ask, say
from tessera.chat.openai import read_messages
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.imaging.grid import Tiling

RED = PIL.Image.new("RGB", (64, 64), (255, 0, 0))
QUESTION = {"type": "text", "text": "What?"}


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def parts_of(*parts: Any) -> tuple[Any, ...]:
    return read_messages(user(*parts)).messages[0].parts


def test_a_picture_and_a_question_are_what_ask_makes() -> None:
    """The line break of training stands behind the picture; numbered pictures come out as in training."""
    image = {"type": "image_url", "image_url": {"url": "a.jpg"}}
    assert read_messages(user(image, QUESTION)) == Conversation(
        (Message("user", (Image(Path("a.jpg")), Text("\n"), Text("What?"))),)
    )
    labels = [{"type": "text", "text": f"Image-{i}: "} for i in (1, 2)]
    numbered = user(labels[0], image, labels[1], image, QUESTION)
    asked = ask("What?", [Path("a.jpg"), Path("a.jpg")])
    assert read_messages(numbered) == Conversation((asked,))


def test_pictures_stay_where_they_were_put() -> None:
    image = {"type": "image", "image": RED}
    assert parts_of(QUESTION, image) == (Text("What?"), Image(RED), Text("\n"))
    broken = {"type": "text", "text": "\nand this"}
    assert parts_of(image, broken, image) == (Image(RED), Text(broken["text"]), Image(RED), Text("\n"))
    assert parts_of(image, image) == (Image(RED), Text("\n"), Image(RED), Text("\n"))


def test_roles_and_plain_content() -> None:
    talk = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Ho"}]},
        {"role": "user", "content": ["Again"]},
    ]
    expected = (say("system", "Be brief."), say("user", "Hi"), say("assistant", "Ho"), say("user", "Again"))
    assert read_messages(talk) == Conversation(expected)


def test_detail_and_limits() -> None:
    def limit(**options: Any) -> Any:
        return parts_of({"type": "image_url", "image_url": {"url": "a.jpg", **options}})[0].max_tiles

    assert [limit(), limit(detail="auto"), limit(detail="high"), limit(detail="low")] == [None, None, None, 1]
    assert limit(max_tiles=24, detail="low") == 24
    assert limit(detail=None) is None and limit(max_tiles=None, detail="low") == 1
    assert parts_of({"type": "image", "image": RED, "max_tiles": 3})[0] == Image(RED, 3)


def test_addresses(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    RED.save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    assert parts_of({"type": "image_url", "image_url": url})[0] == Image(buffer.getvalue())
    spaced = parts_of({"type": "image_url", "image_url": {"url": "file:///a/b%20c.jpg"}})[0]
    assert spaced == Image(Path("/a/b c.jpg"))
    assert parts_of({"type": "image", "path": "a.jpg"})[0] == Image(Path("a.jpg"))
    asked = user({"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}})
    fetched = read_messages(asked, fetch=lambda address: address.encode())
    assert fetched.messages[0].parts[0] == Image(b"https://example.org/a.jpg")


def test_clips_and_their_bounds() -> None:
    clip = {"type": "video", "video": "a.mp4", "start": 1, "end": 2.5, "frames": 4}
    assert parts_of(clip, QUESTION)[0] == Video(Path("a.mp4"), 1, 2.5, 4)
    address = {"type": "video_url", "video_url": {"url": "file:///a.mkv", "frames": 2}}
    assert parts_of(address)[0] == Video(Path("/a.mkv"), frames=2)
    assert parts_of({"type": "video", "video": [RED, RED]})[0] == Video((RED, RED))
    asked = user({"type": "video_url", "video_url": {"url": "http://example.org/a.mp4"}})
    assert read_messages(asked, fetch=lambda _: Path("b.mp4")).messages[0].parts[0] == Video(Path("b.mp4"))
    with pytest.raises(ValueError, match="fetch gave bytes"):
        read_messages(asked, fetch=lambda _: b"")


def test_a_root_confines_paths(tmp_path: Path) -> None:
    inside = user({"type": "image_url", "image_url": {"url": "b/../a.jpg"}})
    assert read_messages(inside, root=tmp_path).messages[0].parts[0] == Image(tmp_path.resolve() / "a.jpg")
    for outside in ("../a.jpg", "/etc/passwd", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="leads out of"):
            read_messages(user({"type": "image_url", "image_url": {"url": outside}}), root=tmp_path)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([{"role": "robot", "content": "x"}], r"messages\[0\]\.role: 'robot'"),
        ([{"role": "user", "content": None}], r"messages\[0\]\.content: None"),
        ([{"role": "assistant", "content": "", "tool_calls": [1]}], r"messages\[0\]\.tool_calls"),
        (user({"type": "input_file"}), r"content\[0\]\.type: 'input_file' is unknown; use one of text"),
        (user(7), r"content\[0\]\.type: None"),
        (user({"type": "text"}), r"content\[0\]\.text: None is no text"),
        (user({"type": "image_url"}), r"content\[0\]\.image_url: missing"),
        (user({"type": "image_url", "image_url": {}}), r"image_url: None is no picture"),
        (user({"type": "image_url", "image_url": "http://x.org/a"}), r"on the web.*fetch="),
        (user({"type": "image_url", "image_url": "data:image/png,abc"}), r"'data:image/png' is not base64"),
        (user({"type": "image_url", "image_url": "data:a;base64,!"}), r"not valid base64"),
        (
            user({"type": "image", "image": RED, "detail": "fine"}),
            r"detail: 'fine' is unknown; use one of auto",
        ),
        (user({"type": "image", "image": RED, "max_tiles": 0}), r"max_tiles: 0 is no number of tiles"),
        (user({"type": "video", "video": "a", "frames": 0}), r"frames=0 is no count"),
        (user({"type": "video", "video": "a", "start": "1"}), r"start='1' is no number"),
        (user({"type": "video", "video": "a", "start": 3, "end": 1}), r"start=3 is not before end=1"),
        (user({"type": "video", "video": "a", "end": float("nan")}), r"end=nan is no number of seconds"),
        (user(), r"messages\[0\]\.content: \[\] is neither text nor a list of parts"),
        (["hi"], r"messages\[0\]\.role: None is unknown"),
        ([{"role": "assistant", "content": [{"type": "image", "image": RED}]}], r"put them in a user turn"),
        ([{"role": "assistant", "content": "x", "weight": 2}], r"messages\[0\]\.weight: 2 is not 0 or 1"),
        (user({"type": "video", "video": ["a", 3]}), r"video\[1\]: 3 is no picture"),
        (user({"type": "video", "video": []}), r"an empty list of frames"),
        (user({"type": "video", "video": "a", "frames": 10**9}), r"frames=1000000000 are too many; .* 512"),
        (user({"type": "video", "video": "a", "fps": 1e9}), r"fps=1000000000.0 is no number .* up to 240"),
        (user({"type": "video", "video": "a", "fps": float("nan")}), r"fps=nan is no number"),
        (user({"type": "video", "video": "a", "fps": True}), r"fps=True is no number"),
        (user({"type": "video_url", "video_url": "data:video/mp4;base64,"}), r"write it to a file"),
    ],
)
def test_mistakes_name_the_place(messages: list[dict[str, Any]], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read_messages(messages)


def test_ids_are_those_of_ask(real_tokenizer: Callable[[str], Tokenizer], shared_data: Path) -> None:
    picture = shared_data / "images" / "pugs_398x180.jpg"
    encoder = Encoder(real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], Tiling(), 256)
    messages = user({"type": "image_url", "image_url": {"url": picture.as_uri()}}, QUESTION)
    ours = encoder.encode(read_messages(messages), generate=True)
    asked = encoder.encode(Conversation((ask("What?", [picture]),)), generate=True)
    assert ours.ids.tolist() == asked.ids.tolist()
    assert ours.tiles_per_image == asked.tiles_per_image == (3,)
