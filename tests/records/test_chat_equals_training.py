"""Training reads what chat asks: the ids of a record up to an answer are those of the same talk in chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.chat.cards import from_card_call
from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Video
from tessera.chat.openai import read_messages
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.grid import Tiling
from tessera.records.forms.detect import FormName, parse_as
from tessera.records.record import RecordPlace
from tests.records.jsonl_files import write_clip, write_picture

PICTURES = {"wide.png": (96, 16), "tall.png": (20, 70), "small.png": (16, 16)}
TOKENIZER = train_tokenizer(["what is in the picture? a cat and a dog\n"] * 4, 300)

Part = dict[str, Any]
Talk = list[tuple[list[Part], str]]
"""Question, as OpenAI's parts, and answer."""


@dataclass(frozen=True)
class Asked:
    """A record of some form and how its first turns are asked in chat."""

    record: dict[str, Any]
    chat: Callable[[int], Conversation]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for name, size in PICTURES.items():
        write_picture(folder / name, size)
    write_clip(folder / "clip", 5)
    return folder


WORDS = st.text("ab 1,\n🙂é", min_size=1, max_size=8).filter(str.strip)
ANSWERS = WORDS.map(str.strip)
"""White space in front would merge with the line break behind the role, as in the authors' code."""
OPTIONS = st.sampled_from([{}, {"detail": "low"}, {"detail": None}, {"max_tiles": 2}, {"detail": "high"}])


@st.composite
def questions(draw: st.DrawFn) -> list[Part]:
    """Pictures, clips and words in any order; no two stretches of words side by side."""
    parts: list[Part] = []
    for kind in draw(st.lists(st.sampled_from(["image", "video", "text", "text"]), min_size=1, max_size=5)):
        if kind == "image":
            parts.append({"type": "image", "image": draw(st.sampled_from(sorted(PICTURES)))})
        elif kind == "video":
            parts.append({"type": "video", "video": "clip"})
        elif not parts or parts[-1]["type"] != "text":
            parts.append({"type": "text", "text": draw(WORDS)})
    return parts


TALKS = st.lists(st.tuples(questions(), ANSWERS), min_size=1, max_size=3)


def media(talk: Talk, kind: str) -> list[str]:
    return [part[kind] for question, _ in talk for part in question if part["type"] == kind]


def marked(question: Sequence[Part]) -> str:
    return "".join(part.get("text", f"<{part['type']}>") for part in question)


def with_marks(talk: Talk, root: Path, record: dict[str, Any]) -> Asked:
    """A record whose texts hold marks; in chat the same texts, as on the model cards."""

    def chat(turns: int) -> Conversation:
        *history, (question, _) = [(marked(question), answer) for question, answer in talk[:turns]]
        pictures = [Image(root / name).source for name in media(talk[:turns], "image")]
        videos = [Video(root / name) for name in media(talk[:turns], "video")]
        return from_card_call(question, pictures, history, videos=videos)

    return Asked(record, chat)


def as_internvl(talk: Talk, root: Path) -> Asked:
    said = [{"from": "human", "value": marked(q)} for q, _ in talk]
    turns = [turn for q, (_, a) in zip(said, talk, strict=True) for turn in (q, {"from": "gpt", "value": a})]
    files = {"image": media(talk, "image"), "video": media(talk, "video")}
    return with_marks(talk, root, {"conversations": turns, **files})


def as_llava(talk: Talk, root: Path) -> Asked:
    """The only mark of a question in front, where LLaVA's code puts it; pictures only."""
    tidy: Talk = []
    for question, answer in talk:
        shown = [part for part in question if part["type"] == "image"][:1]
        words = "".join(part.get("text", "") for part in question).strip() or "what"
        tidy.append(([*shown, {"type": "text", "text": "\n" * len(shown) + words}], answer))
    asked = as_internvl(tidy, root)
    for turn in asked.record["conversations"]:  # the mark may stand anywhere in the file
        if turn["value"].startswith("<image>\n"):
            turn["value"] = turn["value"].removeprefix("<image>\n") + "\n<image>"
    return asked


def as_sharegpt(talk: Talk, root: Path) -> Asked:
    pairs = [{"human": marked(question), "assistant": answer} for question, answer in talk]
    files = {"images": media(talk, "image"), "videos": media(talk, "video")}
    return with_marks(talk, root, {"conversation": pairs, **files})


def as_caption(talk: Talk, root: Path) -> Asked:
    name = (media(talk, "image") or ["wide.png"])[0]
    shown: Talk = [([{"type": "image", "image": name}], talk[0][1])]
    return with_marks(shown, root, {"image": name, "caption": talk[0][1]})


def as_openai(talk: Talk, root: Path) -> Asked:
    """Messages, the same for chat and training."""

    def said(turns: int) -> list[dict[str, Any]]:
        roles = [("user", "assistant")] * turns
        pairs = zip(roles, talk, strict=False)
        return [{"role": r, "content": c} for names, told in pairs for r, c in zip(names, told, strict=True)]

    return Asked({"messages": said(len(talk))}, lambda turns: read_messages(said(turns)[:-1], root=root))


def as_swift(talk: Talk, root: Path) -> Asked:
    """Marks in messages; in chat the same messages as parts."""
    entries = [[("user", marked(question)), ("assistant", answer)] for question, answer in talk]
    messages = [{"role": role, "content": text} for pair in entries for role, text in pair]
    files = {"images": media(talk, "image"), "videos": media(talk, "video")}
    return Asked({"messages": messages, **files}, as_openai(talk, root).chat)


FORMS: dict[FormName, Callable[[Talk, Path], Asked]] = {
    "internvl": as_internvl,
    "llava": as_llava,
    "sharegpt": as_sharegpt,
    "openai": as_openai,
    "swift": as_swift,
    "caption": as_caption,
}


def encoder(template: str) -> Encoder:
    tiling = Tiling(tile_side=16, max_tiles=6)
    return Encoder(TOKENIZER, TEMPLATES[template], tiling, 2, frames=3, system_text="a")


def check(form: FormName, asked: Asked, root: Path, template: str) -> None:
    """Up to every answer by which all pictures were shown, for they share the tile limit."""
    trained = parse_as(form, asked.record, RecordPlace(Path("a.jsonl"), 1, root))
    encoded = encoder(template).encode(trained)
    weights = encoded.weights
    starts = [t for t in range(1, len(weights)) if weights[t] and not weights[t - 1]]
    assert len(starts) * 2 == len(trained.messages)
    for turns, start in enumerate(starts, start=1):
        chat = asked.chat(turns)
        if len(chat.media) == len(trained.media):
            assert encoded.ids[:start].tolist() == encoder(template).prompt_ids(chat).tolist()


SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("form", FORMS)
@SETTINGS
@given(talk=TALKS, template=st.sampled_from(["internvl2_5", "Hermes-2"]))
def test_training_ids_are_chat_ids(form: FormName, root: Path, talk: Talk, template: str) -> None:
    """`internlm2-chat` is left out: training strips its turns and inference does not (docs/prompts.md)."""
    check(form, FORMS[form](talk, root), root, template)


@SETTINGS
@given(talk=TALKS, options=OPTIONS, frames=st.sampled_from([None, 2, 4]))
def test_options_of_parts_mean_the_same(root: Path, talk: Talk, options: Part, frames: int | None) -> None:
    """`detail: low` had no effect in training once, `frames` was dropped, and chat refused `detail: null`."""
    extra = {"image": options, "video": {"frames": frames}}
    told = [([{**part, **extra.get(part["type"], {})} for part in q], answer) for q, answer in talk]
    check("openai", as_openai(told, root), root, "internvl2_5")


def test_names_of_the_responses_interface_are_read_by_both(root: Path) -> None:
    """`input_image` and `input_text` were read in training only."""
    parts = [{"type": "input_image", "image_url": "wide.png"}, {"type": "input_text", "text": "what?"}]
    check("openai", as_openai([(parts, "a cat")], root), root, "internvl2_5")


def test_swift_marks_are_what_chat_asks(root: Path) -> None:
    """`<image>What` trained `</img>What` once; ms-swift's template and chat write a line break between."""
    parts = [{"type": "image", "image": "wide.png"}, {"type": "text", "text": "What"}]
    asked = as_swift([(parts, "a cat")], root)
    assert asked.record["messages"][0]["content"] == "<image>What"
    check("swift", asked, root, "internvl2_5")
    trained = parse_as("swift", asked.record, RecordPlace(Path("a.jsonl"), 1, root))
    assert "</img>\nWhat" in encoder("internvl2_5").render_text(trained)
